"""HTTP of the export: call, answer."""

from __future__ import annotations

from gtsd.export import operations
from gtsd.web.answers import Answer, success
from gtsd.web.call import Call


async def download(call: Call) -> Answer:
    """GET /auth/me/export"""
    name = f"gtsd-export-{call.today}.json"
    return success(
        await operations.export(call.deps.postgres, call.user.id),
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
