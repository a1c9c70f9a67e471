"""Each thing that `watch.py` promises to see is done once, in a pytest of its own, and is seen."""

from __future__ import annotations

import re
import textwrap

import pytest

from run import ROOT

FAULTS = {
    "tasks are left": """
        async def test_fault():
            async def deeper():
                await asyncio.sleep(60)
            async def forgotten():
                await deeper()
            keep.append(asyncio.create_task(forgotten(), name="forgotten"))
            await asyncio.sleep(0)
        """,
    "threads left": """
        def test_fault():
            threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
        """,
    "descriptors left": """
        def test_fault():
            keep.append(os.open("/dev/null", os.O_RDONLY))
        """,
    "children left": """
        def test_fault():
            keep.append(subprocess.Popen(["sleep", "4"]))
        """,
    "shared memory left": """
        def test_fault():
            handle, path = tempfile.mkstemp(dir="/dev/shm")
            os.close(handle)
            threading.Timer(0.6, os.unlink, [path]).start()  # others on this machine look there too
        """,
    "objects left: .*RTCPeerConnection": """
        async def test_fault():
            keep.append(RTCPeerConnection())
            await keep[-1].close()
        """,
    "Task exception was never retrieved": """
        async def test_fault():
            async def fails():
                raise ValueError("unheard")
            asyncio.create_task(fails())
            await asyncio.sleep(0.01)
        """,
    "Task was destroyed but it is pending": """
        def test_fault():
            async def waits():
                await asyncio.Event().wait()
            loop = asyncio.new_event_loop()
            task = loop.create_task(waits())
            loop.run_until_complete(asyncio.sleep(0, loop))
            loop.close()
            del task, loop
            gc.collect()
        """,
    "was never awaited": """
        async def test_fault():
            async def never():
                pass
            never()
        """,
    "unclosed file": """
        async def test_fault():
            class Knot:
                pass
            knot = Knot()
            knot.itself, knot.file = knot, open(os.devnull)
        """,
    "logged: webrtc_server: event='it broke'": """
        def test_fault():
            get_logger("webrtc_server").error("it broke")
        """,
    "logged: aiortc.rtcrtpsender: Traceback": """
        def test_fault():
            try:
                1 / 0
            except ZeroDivisionError:
                logging.getLogger("aiortc.rtcrtpsender").warning(traceback.format_exc())
        """,
    "again with: --seed 42": """
        def test_fault(seed):
            assert random.Random(seed).random() > 1
        """,
    "waiting_for_godot": """
        @pytest.mark.timeout(0.5)
        async def test_fault():
            async def waiting_for_godot():
                await asyncio.Event().wait()
            await waiting_for_godot()
        """,
    "Timeout .*0.5s. from pytest-timeout": """
        @pytest.mark.timeout(0.5)
        async def test_fault():
            # The alarm strikes inside a step of this other task, which swallows it.
            async def busy():
                end = time.monotonic() + 0.7
                while time.monotonic() < end:
                    pass
            task = asyncio.create_task(busy())
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.gather(task, return_exceptions=True)
        """,
}
SOUND = """
    async def test_sound():
        task = asyncio.create_task(asyncio.sleep(0.05))
        connection = RTCPeerConnection()
        await connection.close()
        with open(os.devnull):
            pass

    @pytest.mark.logs_errors("it broke")
    def test_that_expects_an_error():
        get_logger("webrtc_server").error("it broke")

    def test_seed(seed):
        assert seed == 42
"""
HEAD = """
    import asyncio, gc, logging, os, random, subprocess, tempfile, threading, time, traceback
    import pytest
    from aiortc import RTCPeerConnection
    from webrtc_server.observe.log import get_logger
    keep = []
"""


@pytest.fixture
def outer(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini(
        """
        [pytest]
        asyncio_mode = auto
        asyncio_default_fixture_loop_scope = function
        filterwarnings = error
        """
    )
    return pytester


def test_every_fault_is_seen_in_the_test_that_made_it_and_in_no_other(outer: pytest.Pytester) -> None:
    tests = {f"test_fault_{number}": body for number, body in enumerate(FAULTS.values())} | {"test_sound": SOUND}
    outer.makeconftest("from tests import watch\nwatch.PATIENCE = 0.3")
    head = textwrap.dedent(HEAD)
    outer.makepyfile(**{name: head + textwrap.dedent(body) for name, body in tests.items()})
    result = outer.runpytest_subprocess("-p", "tests.watch", "-p", "no:cacheprovider", "--seed", "42")
    text = result.stdout.str()
    failed = set(re.findall(r"^(?:FAILED|ERROR) (test_\w+)\.py", text, re.MULTILINE))
    assert failed == tests.keys() - {"test_sound"}
    assert [sign for sign in FAULTS if not re.search(sign, text)] == []
    assert "in deeper" in text  # of the forgotten task, down to what it waits for
