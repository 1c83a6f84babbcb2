"""The name of this project; `just rename` replaces it here and in files that are not Python."""

NAME = "flusk"
TITLE = " ".join(part.capitalize() for part in NAME.split("-"))
# The database of the containers: SQL needs no quotation marks for it.
DATABASE = NAME.replace("-", "_")
