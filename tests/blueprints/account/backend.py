"""The statements of the blueprint: those that every resource has."""

from service.common.resource import Resource
from service.common.search import TextSearch
from tests.blueprints.account.models import Account

ACCOUNT = Resource(Account, search=TextSearch("owner"))
