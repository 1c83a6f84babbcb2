"""What a schema holds, in PostgreSQL's own words."""

# The service has this schema alone. An extension, and what belongs to one, is not the service's.
OBJECTS = """
SELECT replace(found.type, 'statistics object', 'statistics') AS type, found.identity
FROM pg_depend AS inside, pg_identify_object(inside.classid, inside.objid, 0) AS found
WHERE inside.refclassid = 'pg_namespace'::regclass
    AND inside.refobjid = to_regnamespace('public')
    AND inside.deptype = 'n'
    AND inside.classid <> 'pg_extension'::regclass
    AND NOT EXISTS (
        SELECT FROM pg_depend AS part
        WHERE (part.classid, part.objid) = (inside.classid, inside.objid)
            AND part.objsubid = 0
            AND part.deptype IN ('e', 'i')
    )
"""
