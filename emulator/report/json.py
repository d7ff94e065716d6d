"""A report as JSON, in the form of `report.schema.json` beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from typing import Any, Final

from emulator.config import FunctionConfig
from emulator.evidence import Evidence
from emulator.gates.verdicts import Verdict
from emulator.golden.evaluation import Evaluation
from emulator.intervals import Estimate
from emulator.package import Weight
from emulator.report.base import SCHEMA_VERSION, FunctionReport, Report

SCHEMA_NAME: Final = "report.schema.json"


def as_json(report: Report) -> str:
    """The file's text; a figure that was not measured is null."""
    return json.dumps(report_object(report), indent=2, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that every JSON report keeps to."""
    text = resources.files("emulator.report").joinpath(SCHEMA_NAME).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def report_object(report: Report) -> dict[str, Any]:
    """The whole run."""
    return {
        "schema": f"lambda-preflight/report/{SCHEMA_VERSION}",
        "started": report.started.isoformat(),
        "seconds": report.seconds,
        "seed": report.seed,
        "failed": report.failed,
        "machine": asdict(report.machine),
        "backend": report.backend,
        "capabilities": report.capabilities.as_dict(),
        "versions": dict(report.versions),
        "disturbance": None if report.disturbance is None else asdict(report.disturbance),
        "baseline": report.baseline,
        "notes": list(report.notes),
        "functions": [_function_object(function) for function in report.functions],
    }


def evaluation_object(evaluation: Evaluation) -> dict[str, Any]:
    """One evaluation, every case of it."""
    comparison = evaluation.comparison
    return {
        "dataset": evaluation.dataset,
        "sha256": evaluation.sha256,
        "scorer": evaluation.scorer,
        "answer": evaluation.answer,
        "cases": evaluation.cases,
        "score": _estimate_object(evaluation.score),
        "comparison": None if comparison is None else asdict(comparison),
        "seconds": evaluation.seconds,
        "environments": evaluation.environments,
        "resumed": evaluation.resumed,
        "cpu_flags": list(evaluation.cpu_flags),
        "failures": [
            {
                "case": failure.case_id,
                "line": failure.line,
                "event": failure.event,
                "payload": failure.payload,
                "error": {"type": failure.error.type, "message": failure.error.message},
            }
            for failure in evaluation.failures
        ],
        "scores": [
            {
                "case": score.case_id,
                "expected": score.expected,
                "answer": score.answer,
                "value": score.value,
                "note": score.note,
            }
            for score in evaluation.scores
        ],
    }


def _function_object(function: FunctionReport) -> dict[str, Any]:
    evidence = function.evidence
    return {
        "name": function.name,
        "failed": function.failed,
        "config": _config_object(evidence.config),
        "measurements": [asdict(one) for one in function.measurements],
        "verdicts": [_verdict_object(verdict) for verdict in function.verdicts],
        "notes": list(function.notes),
        "evidence": _evidence_object(evidence),
    }


def _config_object(config: FunctionConfig) -> dict[str, Any]:
    return {
        "handler": config.handler,
        "runtime": config.runtime,
        "architecture": config.architecture,
        "memory_mb": config.memory_mb,
        "timeout_s": config.timeout_s,
        "ephemeral_storage_mb": config.ephemeral_storage_mb,
        "image": config.image,
    }


def _verdict_object(verdict: Verdict) -> dict[str, Any]:
    return {
        "metric": verdict.metric,
        "status": verdict.status,
        "rule": verdict.rule,
        "threshold": verdict.threshold,
        "level": verdict.level,
        "value": verdict.measurement.value,
        "limit": verdict.limit,
        "baseline": verdict.baseline,
        "by": verdict.by,
        "close": verdict.close,
        "reason": verdict.reason,
        "message": verdict.message,
        "look_at": list(verdict.look_at),
    }


def _evidence_object(evidence: Evidence) -> dict[str, Any]:
    return {
        "page_cache": evidence.page_cache,
        "samples": [asdict(sample) for sample in evidence.samples],
        "weight": None if evidence.weight is None else _weight_object(evidence.weight),
        "evaluation": None if evidence.evaluation is None else evaluation_object(evidence.evaluation),
        "imports": [asdict(one) for one in evidence.imports],
        "timeline": [asdict(point) for point in evidence.timeline],
    }


def _weight_object(weight: Weight) -> dict[str, Any]:
    return {
        "unzipped_bytes": weight.unzipped_bytes,
        "code_bytes": weight.code_bytes,
        "layers_bytes": weight.layers_bytes,
        "zipped_bytes": weight.zipped_bytes,
        "limit_bytes": weight.limit_bytes,
        "parts": [asdict(part) for part in weight.parts],
    }


def _estimate_object(estimate: Estimate | None) -> Mapping[str, Any] | None:
    return None if estimate is None else asdict(estimate)
