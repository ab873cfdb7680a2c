"""Errors as MLflow's clients expect them: they branch on the code, and retry on 5xx and 429."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["MlflowError", "already_exists", "invalid", "missing", "not_found", "unusable"]


class MlflowError(Exception):
    """An answer other than success."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def body(self) -> dict[str, str]:
        """Return what the client is sent."""
        return {"error_code": self.code, "message": self.message}


def not_found(message: str) -> MlflowError:
    """Return "there is no such thing"."""
    return MlflowError(404, "RESOURCE_DOES_NOT_EXIST", message)


def invalid(message: str) -> MlflowError:
    """Return "this cannot be used"."""
    return MlflowError(400, "INVALID_PARAMETER_VALUE", message)


def missing(name: str) -> MlflowError:
    """Return "a required field is missing"."""
    return invalid(f"Missing value for required parameter '{name}'.")


def unusable(value: Any, name: str) -> MlflowError:
    """Return "this field is of another type, or out of range"."""
    shown = json.dumps(value, separators=(",", ":"))
    return invalid(f"Invalid value {shown[:500]} for parameter '{name}' supplied.")


def already_exists(message: str) -> MlflowError:
    """Return "there is one already"."""
    return MlflowError(400, "RESOURCE_ALREADY_EXISTS", message)
