"""The statements of the blueprint."""

from service.common.resource import Resource
from service.common.search import TextSearch
from service.foss.models import Foss

FOSS = Resource(Foss, search=TextSearch("name", "email"))
