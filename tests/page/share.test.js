// A link that leads other devices to themselves is no use as a code for a phone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isLoopback } from "../../static/js/tools/share.js";

test("which addresses only this computer can open", () => {
  for (const name of ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
    assert.ok(isLoopback(name), name);
  for (const name of ["painter", "192.168.0.2", "127.0.0.1.example.org", "notlocalhost", "[fe80::1]"]) {
    assert.ok(!isLoopback(name), name);
  }
});
