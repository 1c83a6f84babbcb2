"""Bulk import and export of records as NDJSON or CSV."""

from service.common.bulk.export_hook import exports
from service.common.bulk.forms import LineForm, stream_records
from service.common.bulk.import_hook import imports
from service.common.bulk.lines import Lines
from service.common.bulk.staging import StagedLines

__all__ = ["LineForm", "Lines", "StagedLines", "exports", "imports", "stream_records"]
