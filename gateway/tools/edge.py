"""What a gateway takes from a configuration file: its settings, and where the providers' keys are found."""

import logging
import os
from pathlib import Path

from msgspec.structs import replace

from gateway.app import Edge
from gateway.configuration import parse_configuration, read_provider_keys, read_text
from gateway.settings import Settings, SpoolPlace, parse_settings
from gateway.tools.config import with_problems
from ledger.catalog.config.tables import ConfigurationInvalid

log = logging.getLogger(__name__)


def read_edge(file: Path | None, spool: Path) -> Edge:
    """Return what a file says to this gateway; without a file, the defaults and no provider. Raises ToolFailed.

    `spool` is where settlements wait unless the file names another place.
    """
    try:
        return edge_of("" if file is None else read_text(file), spool)
    except ConfigurationInvalid as invalid:
        name = "the configuration" if file is None else file.name
        raise with_problems(name, invalid.problems, "can't be used") from None


def edge_of(text: str, spool: Path) -> Edge:
    """Return what a configuration's text says to this gateway. Raises ConfigurationInvalid.

    A provider whose key can't be found is not called from here; its routes are skipped, and that is said once.
    """
    settings = parse_settings(text)
    if settings.spool == SpoolPlace():
        settings = replace(settings, spool=SpoolPlace(str(spool)))
    if not text:
        return Edge(Settings(spool=settings.spool))
    config = parse_configuration(text)
    found, problems = read_provider_keys(config, os.environ)
    for problem in problems:
        log.warning("%s: its routes are skipped by this gateway", problem)
    without = {provider.name: "" for provider in config.providers if provider.api_key is None}
    return Edge(settings, without | found)
