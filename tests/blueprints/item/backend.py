"""The statements of the blueprint."""

from service.common.resource import Resource
from service.common.search import TextSearch
from tests.blueprints.item.models import Item

ITEM = Resource(Item, search=TextSearch("name", "email"))
