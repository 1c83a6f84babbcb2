"""The statements of the blueprint."""

from service.common.resource import Resource
from service.foss.models import Foss

FOSS = Resource(Foss, searched=("name", "email"))
