"""Where each case is from: what was recorded or written by AWS, and when. A case without a source is not collected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pytest

_LOCALSTACK: Final = "https://github.com/localstack/localstack/tree/main/tests/aws/services/lambda_"
_GUIDE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`date` is that of the recording or of the copy that was read, as far as it is known: YYYY[-MM[-DD]]."""

    what: str
    where: str
    date: str


def _recorded(date: str) -> Source:
    return Source(what="LocalStack's snapshots of the real service", where=_LOCALSTACK, date=date)


def _guide(page: str, date: str = "2026-07") -> Source:
    return Source(what="AWS Lambda Developer Guide", where=f"{_GUIDE}{page}", date=date)


def _log(file: str, date: str) -> Source:
    return Source(what="a real function's log", where=f"stored file {file}", date=date)


RECORDED_2022: Final = _recorded("2022-09-01")
RECORDED_2024: Final = _recorded("2024-04-08")
RECORDED: Final = _recorded("2025-11-24")
RECORDED_LIMITS: Final = _recorded("2025-11-25")
RECORDED_VARIABLES: Final = _recorded("2026-01-12")

MODEL: Final = Source(
    what="the API's model in botocore 1.43.11", where="data/lambda/2015-03-31/service-2.json", date="2026"
)
CLIENT: Final = Source(
    what="AWS's runtime client 4.0.1",
    where="https://github.com/aws/aws-lambda-python-runtime-interface-client",
    date="2026-06-26",
)
ENTRY: Final = Source(what="/var/runtime/bootstrap.py of AWS's python3.11 image", where="read there", date="2026-11")

LIFECYCLE: Final = _guide("lambda-runtime-environment.html")
QUOTAS: Final = _guide("gettingstarted-limits.html", "2026-10")
MEMORY: Final = _guide("configuration-memory.html")
VARIABLES: Final = _guide("configuration-envvars.html", "2026")
LEVELS: Final = _guide("monitoring-cloudwatchlogs-log-level.html")
PYTHON_LOG: Final = _guide("python-logging.html")
PACKAGES: Final = _guide("python-package.html")
ASYNC_ERRORS: Final = _guide("invocation-async-error-handling.html")
SCALING: Final = _guide("lambda-concurrency.html")
RUNTIME_API: Final = _guide("runtimes-api.html")
URLS: Final = _guide("urls-invocation.html", "2026-10")

WARM_REPORT: Final = Source(
    what="real REPORT lines",
    where="https://github.com/ubc-cirrus-lab/demystifying-serverless-costs",
    date="2025-05-12",
)
COLD_REPORT: Final = _log("58766576805", "2026")
TIMEOUT_REPORT: Final = _log("58558758467", "2026-07")
DEATH_REPORT: Final = _log("71311102296", "2026-10")
IMPORT_LOG: Final = _log("67189750501", "2025-12-15")
INIT_TIMEOUT_LOG: Final = _log("69036898723", "2026-09-23")
SECOND_TIMEOUT_LOG: Final = _log("42735808333", "2024-04-14")
JSON_LOG: Final = _log("71517255706", "2026-10-08")
MEMORY_LOG: Final = Source(what="a report against AWS", where="adobe/helix issue 1001", date="2026-07")
SEGFAULT: Final = Source(
    what="a report against AWS", where="https://qiita.com/kijuky/items/fffac99c93fef2382866", date="2025"
)
BILLING: Final = Source(
    what="AWS's blog on billing of init",
    where="https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/",
    date="2025-04-29",
)
SCHEDULER: Final = Source(what="Lin, Ma and Shahrad, EuroSys 2026", where="doi 10.1145/3767295.3769374", date="2025-05")
CPUS: Final = Source(what="measured", where="https://github.com/rwnx/lambda-cpuinfo", date="2021-02")
SHARED_MEMORY: Final = Source(
    what="a report against AWS", where="https://github.com/danielgatis/rembg/issues/326", date="2022-10"
)
REQUEST_SIZE: Final = Source(what="reports of the message", where="lambda-facts, section 1", date="2026-09-10")
NOT_JSON: Final = Source(what="real answers", where="lambda-facts, section 6", date="2024 to 2026")
THROTTLES: Final = Source(what="a real answer, and the API's model", where="lambda-facts, section 6", date="2021, 2026")


def recorded(source: Source) -> pytest.MarkDecorator:
    """Every case has this mark."""
    return pytest.mark.recorded(source)


def case(name: str, source: Source, *values: Any) -> Any:  # noqa: ANN401 - a row of whatever the table holds
    """One row of a table of cases."""
    return pytest.param(*values, marks=recorded(source), id=name)
