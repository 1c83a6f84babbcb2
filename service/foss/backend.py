"""The statements of the blueprint: those that every resource has."""

from service.common.resource import Resource
from service.foss.models import Foss

FOSS = Resource(Foss, searched=("name", "email"))
