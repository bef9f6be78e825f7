"""Servers keep what their OpenAPI documents promise: schemathesis derives requests from a document,
valid and invalid ones, sends them, and compares the answers with it.

All of its checks are on: no 5xx, documented statuses, content types, headers and schemas, invalid
requests refused and valid ones taken, required headers, methods without a route, `Allow`,
credentials, resources that were deleted or just made. What cannot apply is said below, for each
program.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("schemathesis")

HERE = Path(__file__).parent
SHOP = HERE.parents[1] / "examples/fastapi_tutorial/shop_cello.py"
DESCRIBED = HERE / "described_app.py"

# Names that the document does not have are no mistake: headers that a server does not know are to
# be ignored (RFC 9110, 5.1), and so are parameters of a query. NUL is 400 in a query or a form.
COMMON = """
hooks = "schemathesis_hooks"
[generation]
allow-extra-parameters = false
allow-x00 = false
"""

# The tutorial's program answers some valid requests with 400 and 418, without saying so in its
# document. pydantic takes `true` for a float, here as in FastAPI; msgspec takes durations of days,
# hours, minutes and seconds only.
SHOP_CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "400", "401", "403", "404", "409", "418"]

[parameters]
"header.x-token" = "secret"
"path.vehicle_id" = "item1"

[auth.openapi]
HTTPBasic = { username = "ada", password = "lovelace" }
APIKeyHeader = { api_key = "key" }
OAuth2PasswordBearer = { bearer = "ada|me items" }

[[operations]]
include-name = ["POST /items/", "PUT /items/{item_id}", "PATCH /items/{item_id}"]
checks.negative_data_rejection.enabled = false

[[operations]]
include-name = "PUT /loans/{loan_id}"
checks.positive_data_acceptance.enabled = false
"""

# A form cannot say whether one value is a list. And schemathesis takes null for a mistake in a body
# that may be null.
DESCRIBED_CONFIG = """
[auth.openapi]
HTTPBearer = { bearer = "token" }
APIKeyHeader = { api_key = "key" }

[[operations]]
include-name = ["POST /forms", "POST /form-models", "PATCH /optional"]
checks.negative_data_rejection.enabled = false
"""


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("path", "config"), [(SHOP, SHOP_CONFIG), (DESCRIBED, DESCRIBED_CONFIG)], ids=["shop", "all"]
)
def test_what_the_document_promises(path: Path, config: str, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(COMMON + config)
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    with load(path).app.start(env="production") as server:
        command = [sys.executable, "-m", "schemathesis.cli", "run"]
        command += [f"{server.url}/openapi.json", "--max-examples=25"]
        command += ["--seed=1", "--no-color", "--continue-on-failure"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=800
        )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Test cases:\n +\d{3,} generated, \d+ passed", done.stdout), done.stdout
