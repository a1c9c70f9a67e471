#!/usr/bin/env bash
# Real loss by the kernel, instead of by the test client: P7 in a network namespace of its own. Root, iproute2, nftables.
#
#   tests/chaos/netns.sh [PERCENT]      of the datagrams are lost, each way; 5 if left out
#
# Server and clients are both inside, so nothing leaves the machine. `tc netem` is not needed: few kernels of
# containers have it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
percent="${1:-5}"
skip() { echo "skipped: $1"; exit 77; }
[ "$(id -u)" = 0 ] || skip "it takes root to make a network namespace"
command -v ip > /dev/null || skip "no ip here (apt install iproute2)"
command -v nft > /dev/null || skip "no nft here (apt install nftables)"
space="live-diffusion-$$"
ip netns add "$space" || skip "no network namespaces here"
trap 'ip netns del "$space"' EXIT
ip -n "$space" link set lo up
ip -n "$space" address add 10.99.0.1/32 dev lo  # aioice offers no 127.0.0.1 by itself
ip netns exec "$space" nft "add table ip loss; add chain ip loss in { type filter hook input priority 0; };
  add rule ip loss in meta l4proto udp numgen random mod 100 < $percent counter drop"
ip netns exec "$space" "${PYTHON:-python}" -m bench.reliability.loss "$percent"
ip netns exec "$space" nft list chain ip loss in
