import tomllib

import pytest

from service.failures import OperatorError
from service.server.versions import OVERRIDDEN, require_versions
from service.settings import ROOT


def test_the_installed_versions_are_those_that_are_known_to_work() -> None:
    require_versions()


def test_another_version_stops_the_start_with_one_line() -> None:
    with pytest.raises(OperatorError) as caught:
        require_versions({"hypercorn": "0.17."})

    assert str(caught.value) == (
        "hypercorn 0.18.0 is installed, but the service overrides parts of 0.17.x. "
        "Install what requirements/production.txt pins (`just setup`)."
    )


def test_the_same_versions_are_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(
        pin.replace("[asyncio]", "").split("~=") for pin in project["dependencies"] if "~=" in pin
    )

    assert pins.keys() == OVERRIDDEN.keys()
    for name, pin in pins.items():
        assert pin.startswith(OVERRIDDEN[name])
        assert pin.count(".") == 2
