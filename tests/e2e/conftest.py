# SPDX-License-Identifier: ISC
"""Fixtures of the end-to-end tests.  tests/lab/__init__.py tells what the lab
can do.

    def test_something(lab, gateway):
        domain, mx = lab.good_domain()
        with lab.connect(mx) as client:
            reply = client.deliver("a@lan.example", [f"b@{domain}"], MESSAGE)
        assert reply.code == 250, reply

Every test ends with the tap's verdict: envelope or message in clear fails it,
unless it is marked clear_text.  What a sanitizer says fails it, too.
"""

import os
import re
import resource
import signal
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from lab import Gateway, Lab, world as lab_world  # noqa: E402

FILES = 20000
_SANITIZER = re.compile("AddressSanitizer|LeakSanitizer|runtime error:")


def pytest_addoption(parser):
    parser.addoption("--scripted", action="store_true",
                     help="leave out what takes the world of real servers")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("scripted"):
        return
    real = {"postfix", "exim", "world"}
    left_out = [item for item in items if real & set(item.fixturenames)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_configure():
    # A login's 1024 are too few for a lab whose clients, servers and wires
    # are all in this process.
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       tuple(max(limit, FILES) for limit in limits))
    # So that fixtures are torn down.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("SIGTERM", 143))


@pytest.fixture(scope="session")
def lab(request):
    """The lab, raised once, with those of the LAN's MTAs that some test asks
    for."""
    asked = {name for item in request.session.items
             for name in item.fixturenames}
    with Lab(mtas=[m for m in ("postfix", "exim") if m in asked]) as raised:
        yield raised


@pytest.fixture(scope="session")
def world(lab):
    """The standard domains: {domain: Case}."""
    return lab_world.build(lab)


@pytest.fixture(autouse=True)
def tap(request):
    """The wire between gateway and internet, fresh; judged at the end."""
    if "lab" not in request.fixturenames:
        yield None
        return
    watched = request.getfixturevalue("lab").tap
    watched.forget()
    yield watched
    if request.node.get_closest_marker("clear_text") is None:
        leaks = watched.leaks()
        assert not leaks, "\n".join(map(str, leaks))


@pytest.fixture
def start_gateway(lab):
    """start_gateway(*settings, mode=..., ns=..., ...): a postern for as long
    as the test; options as for Gateway."""
    started = []

    def start(*settings, mode="gateway", ns=None, state_directory=None,
              **options):
        place = lab.gateway if mode == "gateway" else lab.client
        config = lab.config(*settings, mode=mode,
                            state_directory=state_directory)
        gateway = Gateway(lab, ns or place, config, **options)
        started.append(gateway)
        return gateway

    yield start
    for gateway in reversed(started):
        gateway.close()
        said = [line for line in gateway.log.lines if _SANITIZER.search(line)]
        assert not said, "\n".join(gateway.log.lines)


@pytest.fixture
def gateway(request, start_gateway):
    """postern between LAN and internet; settings by the config marker."""
    marker = request.node.get_closest_marker("config")
    return start_gateway(*(marker.args if marker else ()))


@pytest.fixture
def local_gateway(request, start_gateway):
    """postern in mode local, in the scripted client's own namespace."""
    marker = request.node.get_closest_marker("config")
    return start_gateway(*(marker.args if marker else ()), mode="local")


@pytest.fixture
def postfix(lab):
    """The LAN's stock Postfix, with an empty queue."""
    yield lab.postfix
    lab.postfix.empty()


@pytest.fixture
def exim(lab):
    """The LAN's stock Exim, with an empty queue."""
    yield lab.exim
    lab.exim.empty()
