"""Statements of SQL Server over SQLite: as much of Transact-SQL as the tests of a route write, with the types, errors and transactions that it has there."""

import datetime
import decimal
import re
import sqlite3
import time
import uuid

from tds import Kind, Refused, SIZES

INTEGERS = {"tinyint": (0, 255), "smallint": (-(2**15), 2**15 - 1), "int": (-(2**31), 2**31 - 1)}
INTEGERS["bigint"] = (-(2**63), 2**63 - 1)
STORED = {**{name: "INTEGER" for name in SIZES}, "bit": "INTEGER", "float": "REAL", "real": "REAL"}
STORED.update({"varbinary": "BLOB", "binary": "BLOB"})
TYPE = r"(?:\[?\w+\]?)(?:\s*\(\s*(?:\d+|max)\s*(?:,\s*\d+\s*)?\))?"
NAME = r"(?:\[(?:[^\]]|\]\])+\]|\"[^\"]+\"|[\w#@]+)"
TOKEN = re.compile(r"N?'(?:[^']|'')*'|\[(?:[^\]]|\]\])*\]|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|[@#\w.]+|\s+|.", re.S)


def kind_of(declared):
    """The type that a definition names."""
    name, _, rest = declared.lower().strip("[]").partition("(")
    name = name.strip().strip("[]")
    given = [part.strip() for part in rest.rstrip(") ").split(",") if part.strip()]
    name = {"integer": "int", "dec": "decimal", "sysname": "nvarchar"}.get(name, name)
    if name in ("decimal", "numeric"):
        return Kind(name, None, int(given[0]) if given else 18, int(given[1]) if len(given) > 1 else 0)
    if name in ("time", "datetime2", "datetimeoffset"):
        return Kind(name, None, 0, int(given[0]) if given else 7)
    if name in ("varchar", "char", "nvarchar", "nchar", "varbinary", "binary"):
        return Kind(name, None if given == ["max"] else int(given[0]) if given else 1)
    Kind(name).info()
    return Kind(name)


def shown(value):
    return value if isinstance(value, str) else "" if value is None else str(value)


def converted(value, kind, place=("t", "c")):
    """A value as its column keeps it, or the error that SQL Server has for it."""
    name = kind.name
    if value is None:
        return None
    if name in INTEGERS:
        try:
            # An empty text is 0.
            number = int(value or 0) if isinstance(value, str) else int(decimal.Decimal(value))
        except (ValueError, decimal.InvalidOperation):
            raise Refused(245, f"Conversion failed when converting the nvarchar value '{value}' to data type {name}.") from None
        low, high = INTEGERS[name]
        if not low <= number <= high:
            raise Refused(8115, f"Arithmetic overflow error converting expression to data type {name}.")
        return number
    if name == "bit":
        words = {"true": 1, "false": 0, "1": 1, "0": 0}
        if isinstance(value, str) and value.lower() not in words:
            raise Refused(245, f"Conversion failed when converting the nvarchar value '{value}' to data type bit.")
        return words[value.lower()] if isinstance(value, str) else int(value != 0)
    if name in ("float", "real", "decimal", "numeric", "money", "smallmoney"):
        try:
            number = decimal.Decimal(str(value))
        except decimal.InvalidOperation:
            raise Refused(8114, f"Error converting data type nvarchar to {name}.") from None
        if name in ("float", "real"):
            return float(number)
        scale, precision = (4, 19) if "money" in name else (kind.scale, kind.precision)
        with decimal.localcontext(decimal.Context(prec=60)):
            number = number.quantize(decimal.Decimal(1).scaleb(-scale), decimal.ROUND_HALF_UP)
        if len(number.as_tuple().digits) > precision:
            raise Refused(8115, f"Arithmetic overflow error converting nvarchar to data type {name}.")
        return f"{number:f}"
    if name in ("varbinary", "binary"):
        if isinstance(value, str):
            raise Refused(257, f"Implicit conversion from data type nvarchar to {name} is not allowed. Use the CONVERT function to run this query.")
        return bytes(value)
    if name == "uniqueidentifier":
        try:
            return str(uuid.UUID(value)).upper()
        except ValueError:
            raise Refused(8169, "Conversion failed when converting from a character string to uniqueidentifier.") from None
    if name in ("date", "time", "datetime", "smalldatetime", "datetime2", "datetimeoffset"):
        return a_time(shown(value), kind)
    if isinstance(value, bytes):
        value = value.decode("utf-16-le", "replace")
    value = shown(value)
    if kind.length is not None and len(value) > kind.length:
        cut = value[: kind.length]
        raise Refused(2628, f"String or binary data would be truncated in table 'plant.dbo.{place[0]}', column '{place[1]}'. Truncated value: '{cut}'.")
    return value


def a_time(value, kind):
    digits = re.search(r"\.(\d+)", value)
    has_zone = re.search(r"T?\d\d:\d\d.*(Z|[+-]\d\d:\d\d)$", value)
    try:
        # Stricter than SQL Server, which takes a zone in some of them.
        if kind.name != "datetimeoffset" and has_zone or kind.name == "datetime" and digits and len(digits[1]) > 3:
            raise ValueError(value)
        if kind.name == "date":
            return datetime.date.fromisoformat(value[:10]).isoformat()
        if kind.name == "time":
            return datetime.time.fromisoformat(value).isoformat()
        at = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise Refused(241, "Conversion failed when converting date and/or time from character string.") from None
    if kind.name == "datetimeoffset" and at.tzinfo is None:
        at = at.replace(tzinfo=datetime.timezone.utc)
    return at.isoformat()


def bare(name):
    """A name without what stands around it, and without its schema."""
    name = name.strip()
    parts = re.findall(NAME, name)
    name = parts[-1] if parts else name
    if name.startswith("["):
        return name[1:-1].replace("]]", "]")
    return name.strip('"')


def quoted(name):
    """A name as SQLite takes each."""
    return '"' + name.replace('"', '""') + '"'


def split(sql, mark):
    """Parts of a text between marks that stand outside of quotes and parentheses."""
    parts, depth = [""], 0
    for token in TOKEN.findall(sql):
        depth += (token == "(") - (token == ")")
        if token == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts if part.strip()]


class Engine:
    """A session with the database."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None, timeout=20, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.execute("CREATE TABLE IF NOT EXISTS sys_columns (t TEXT COLLATE NOCASE, c TEXT COLLATE NOCASE, declared TEXT, numbers INT, place INTEGER PRIMARY KEY)")
        self.db.execute("CREATE TABLE IF NOT EXISTS sys_procedures (name TEXT PRIMARY KEY COLLATE NOCASE, parameters TEXT, body TEXT)")
        self.db.create_function("SYSUTCDATETIME", 0, lambda: datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None).isoformat())
        self.transactions = 0
        self.is_encrypted = False
        self.failures = {}
        self.wait = time.sleep

    def close(self):
        self.db.close()

    # Results are tuples: described columns or None, rows, count, whether they are of a SELECT.

    def run(self, sql, parameters=None):
        """Results of a text with several statements."""
        for statement in split(sql, ";"):
            yield from self.statement(statement, parameters or {})

    def statement(self, sql, parameters):
        sql = re.sub(r"--[^\n]*|/\*.*?\*/", " ", sql, flags=re.S).strip()
        word = re.match(r"\w*", sql)[0].upper()
        flat = " ".join(sql.split())
        try:
            if re.match(r"SET (ANSI|QUOTED|NUMERIC|IMPLICIT|NOCOUNT|XACT|DATEFORMAT|TEXTSIZE)", flat, re.I):
                return []
            if word in ("BEGIN", "COMMIT", "ROLLBACK") or flat.upper().startswith("IF @@TRANCOUNT > 0 ROLLBACK"):
                return self.transaction(flat.upper())
            handlers = {"CREATE": self.create, "ALTER": self.alter, "EXEC": self.call, "EXECUTE": self.call, "WAITFOR": self.delay}
            if word in handlers:
                return handlers[word](flat, parameters)
            if "FROM sys.columns AS c" in flat:
                return self.catalogue(parameters["p1"])
            if "sys.dm_exec_connections" in flat:
                return [([("encrypt_option", Kind("nvarchar", 40))], [(str(self.is_encrypted).upper(),)], 1, True)]
            if word == "SELECT" and not re.search(r"\bFROM\b", flat, re.I):
                return self.constants(sql, parameters)
            return self.plain(sql, word, parameters)
        except sqlite3.Error as error:
            raise self.refused(error) from None

    def refused(self, error):
        message = str(error)
        if found := re.match(r"UNIQUE constraint failed: (\w+)\.(.+)", message):
            return Refused(2627, f"Violation of PRIMARY KEY constraint 'PK__{found[1]}'. Cannot insert duplicate key in object 'dbo.{found[1]}'.", 14)
        if found := re.match(r"NOT NULL constraint failed: (\w+)\.(\w+)", message):
            return Refused(515, f"Cannot insert the value NULL into column '{found[2]}', table 'plant.dbo.{found[1]}'; column does not allow nulls.")
        if "CHECK constraint failed" in message or "FOREIGN KEY" in message:
            return Refused(547, f'The INSERT statement conflicted with the CHECK constraint "{message}".')
        if found := re.match(r"no such table: (.+)", message):
            return Refused(208, f"Invalid object name '{found[1].removeprefix('main.')}'.")
        if found := re.search(r"no such column: (.+)|has no column named (.+)", message):
            return Refused(207, f"Invalid column name '{found[1] or found[2]}'.")
        if "locked" in message:
            return Refused(1205, "Transaction (Process ID 51) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.", 13)
        return Refused(102, f"Incorrect syntax: {message}.", 15)

    def transaction(self, flat):
        if flat.startswith("BEGIN TRAN"):
            self.db.execute("BEGIN IMMEDIATE")
            self.transactions = 1
        elif flat.startswith("COMMIT"):
            if not self.transactions:
                raise Refused(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
            self.db.execute("COMMIT")
            self.transactions = 0
        elif self.transactions:
            self.rollback()
        elif not flat.startswith("IF"):
            raise Refused(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        return []

    def rollback(self):
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        self.transactions = 0

    def kinds(self, table):
        found = self.db.execute("SELECT c, declared, numbers FROM sys_columns WHERE t = ? ORDER BY place", (table,))
        return [(name, kind_of(declared), numbers) for name, declared, numbers in found]

    def create(self, flat, _):
        if found := re.match(rf"CREATE PROCEDURE ({NAME})\s*(.*?)\s+AS\s+(.*)", flat, re.I):
            names = re.findall(r"@(\w+)", found[2])
            self.db.execute("INSERT OR REPLACE INTO sys_procedures VALUES (?, ?, ?)", (found[1], " ".join(names), found[3]))
            return []
        found = re.match(rf"CREATE TABLE ((?:{NAME}\.)?{NAME})\s*\((.*)\)$", flat, re.I)
        if not found:
            raise Refused(102, "Incorrect syntax near 'CREATE'.", 15)
        table, columns, known = bare(found[1]), [], []
        if self.kinds(table):
            raise Refused(2714, f"There is already an object named '{table}' in the database.")
        for part in split(found[2], ","):
            one = re.match(rf"({NAME})\s+({TYPE})(.*)", part, re.I | re.S)
            if not one or one[1].upper() in ("PRIMARY", "UNIQUE", "CHECK", "CONSTRAINT", "FOREIGN"):
                columns.append(part)
                continue
            kind, rest = kind_of(one[2]), one[3]
            numbers = "IDENTITY" in rest.upper()
            rest = re.sub(r"IDENTITY(\s*\(1,\s*1\))?", "", rest, flags=re.I)
            stored = STORED.get(kind.name, "TEXT COLLATE NOCASE")
            columns.append(f"{quoted(bare(one[1]))} {'INTEGER PRIMARY KEY AUTOINCREMENT' if numbers else stored + ' ' + rest}")
            known.append((table, bare(one[1]), one[2], numbers))
        with self.alone():
            self.db.execute(f"CREATE TABLE {quoted(table)} ({', '.join(columns)})")
            self.db.executemany("INSERT INTO sys_columns (t, c, declared, numbers) VALUES (?, ?, ?, ?)", known)
        return []

    def alone(self):
        """A transaction, unless there is one."""
        engine = self

        class Alone:
            def __enter__(self):
                self.is_own = not engine.transactions
                if self.is_own:
                    engine.db.execute("BEGIN IMMEDIATE")

            def __exit__(self, kind, *_):
                if self.is_own and engine.db.in_transaction:
                    engine.db.execute("ROLLBACK" if kind else "COMMIT")

        return Alone()

    def alter(self, flat, _):
        found = re.match(rf"ALTER TABLE ((?:{NAME}\.)?{NAME}) (ADD|ALTER COLUMN|DROP COLUMN) ({NAME})\s*({TYPE})?", flat, re.I)
        table, way, column = bare(found[1]), found[2].upper(), bare(found[3])
        is_there = any(name.lower() == column.lower() for name, _, _ in self.kinds(table))
        with self.alone():
            if way == "ADD":
                if is_there:
                    raise Refused(2705, f"Column names in each table must be unique. Column name '{column}' in table '{table}' is specified more than once.")
                stored = STORED.get(kind_of(found[4]).name, "TEXT COLLATE NOCASE")
                self.db.execute(f"ALTER TABLE {quoted(table)} ADD {quoted(column)} {stored}")
                self.db.execute("INSERT INTO sys_columns (t, c, declared, numbers) VALUES (?, ?, ?, 0)", (table, column, found[4]))
            elif way == "ALTER COLUMN":
                # SQLite keeps what a column's own type does not take as it is.
                self.db.execute("UPDATE sys_columns SET declared = ? WHERE t = ? AND c = ?", (found[4], table, column))
            else:
                self.db.execute(f"ALTER TABLE {quoted(table)} DROP COLUMN {quoted(column)}")
                self.db.execute("DELETE FROM sys_columns WHERE t = ? AND c = ?", (table, column))
        return []

    def call(self, flat, parameters):
        found = re.match(rf"EXEC(?:UTE)? ({NAME})\s*(.*)", flat, re.I)
        given = [self.constant(part.partition("=")[2] or part, parameters)[0] for part in split(found[2], ",")]
        if found[1].lower() == "sp_fails":
            return self.fails(*given)
        known = self.db.execute("SELECT parameters, body FROM sys_procedures WHERE name = ?", (bare(found[1]),)).fetchone()
        if not known:
            raise Refused(2812, f"Could not find stored procedure '{found[1]}'.")
        return list(self.run(known[1], dict(zip(known[0].split(), given))))

    def fails(self, number, severity, times, name):
        """Fails so often with an error, and then no more."""
        count = Engine.failed.get(name, 0)
        if count < times:
            Engine.failed[name] = count + 1
            raise Refused(number, f"failed on purpose ({name})", severity)
        return []

    failed = {}

    def delay(self, flat, _):
        hours, minutes, seconds = re.search(r"'(\d+):(\d+):([\d.]+)'", flat).groups()
        self.wait(int(hours) * 3600 + int(minutes) * 60 + float(seconds))
        return []

    def catalogue(self, table):
        described = [("name", Kind("nvarchar", 128)), ("", Kind("nvarchar", 128)), ("is_identity", Kind("bit")), ("is_computed", Kind("bit"))]
        rows = [(name, kind.name, numbers, 0) for name, kind, numbers in self.kinds(bare(table))]
        return [(described, rows, len(rows), True)]

    def constant(self, text, parameters):
        """A value that stands in a text, and its type."""
        text = text.strip()
        if found := re.match(rf"CAST\s*\((.*) AS ({TYPE})\)$", text, re.I | re.S):
            kind = kind_of(found[2])
            value = self.constant(found[1], parameters)[0]
            if kind.name in ("varbinary", "binary") and isinstance(value, str):
                value = value.encode("utf-16-le")
            return value if kind.name == "sql_variant" else converted(value, kind), kind
        if text.upper() == "NULL":
            return None, Kind("int")
        if text.startswith("0x"):
            return bytes.fromhex(text[2:]), Kind("varbinary", 8000)
        if found := re.match(r"N?'(.*)'$", text, re.S):
            return found[1].replace("''", "'"), Kind("nvarchar", None if len(found[1]) > 4000 else 4000)
        if found := re.match(r"REPLICATE\((.*),\s*(\d+)\)$", text, re.I):
            return self.constant(found[1], parameters)[0] * int(found[2]), Kind("nvarchar")
        if found := re.match(r"@(\w+)$", text):
            value = parameters[found[1]]
            return value, self.kind_of_value(value)
        try:
            number = decimal.Decimal(text)
        except decimal.InvalidOperation:
            raise Refused(207, f"Invalid column name '{text}'.") from None
        number = int(text) if re.match(r"[+-]?\d+$", text) else number
        return number, self.kind_of_value(number)

    def kind_of_value(self, value):
        if isinstance(value, bool):
            return Kind("bit")
        if isinstance(value, int):
            return Kind("bigint" if abs(value) >= 2**31 else "int")
        if isinstance(value, float):
            return Kind("float")
        if isinstance(value, decimal.Decimal):
            return Kind("decimal", None, 38, max(0, -value.as_tuple().exponent))
        if isinstance(value, bytes):
            return Kind("varbinary", None if len(value) > 8000 else 8000)
        return Kind("nvarchar", None if value is not None and len(value) > 4000 else 4000)

    def constants(self, sql, parameters):
        described, values = [], []
        for part in split(re.sub(r"^SELECT\s+", "", sql, flags=re.I), ","):
            found = re.match(rf"(.*?)\s+AS\s+({NAME})$", part, re.I | re.S)
            value, kind = self.constant(found[1] if found else part, parameters)
            described.append((bare(found[2]) if found else "", kind))
            values.append(value)
        return [(described, [tuple(values)], 1, True)]

    def plain(self, sql, word, parameters):
        """A statement that SQLite knows, but for some words."""
        if found := re.search(r"\s+OUTPUT\s+((?:inserted|deleted)\..*?)(?=\s+(?:VALUES|WHERE|FROM)\b)", sql, re.I):
            sql = sql.replace(found[0], "") + " RETURNING " + re.sub(r"(inserted|deleted)\.", "", found[1])
        limit = re.search(r"\bTOP\s*\(?(\d+)\)?", sql, re.I)
        if limit:
            sql = sql.replace(limit[0], "") + f" LIMIT {limit[1]}"
        if word == "INSERT" and not re.match(r"INSERT\s+INTO", sql, re.I):
            sql = re.sub(r"^INSERT", "INSERT INTO", sql, flags=re.I)
        if word == "INSERT" and sql.upper().count("),") > 1000:
            raise Refused(10738, "The number of row value expressions in the INSERT statement exceeds the maximum allowed number of 1000 row values.", 15)
        translated = ""
        for token in TOKEN.findall(sql):
            token = token[1:] if re.match(r"N'", token, re.I) else token
            token = quoted(bare(token)) if token[:1] == "[" else token
            translated += re.sub(r"^dbo\.", "", token, flags=re.I)
        translated = re.sub(r"NVARCHAR\s*\(MAX\)", "TEXT", translated, flags=re.I).replace('"dbo".', "")
        translated = re.sub(r"\bISNULL\(", "IFNULL(", translated, flags=re.I)
        found = re.search(rf"\b(?:INTO|FROM|UPDATE)\s+({NAME}(?:\.{NAME})?)", translated, re.I)
        table = bare(found[1]) if found else ""
        kinds = self.kinds(table)
        if word == "INSERT":
            translated = self.with_columns(translated, kinds)
        bound = {name: float(value) if isinstance(value, decimal.Decimal) and word == "SELECT" else str(value) if isinstance(value, decimal.Decimal) else value for name, value in parameters.items()}
        with self.alone() if word in ("INSERT", "UPDATE") else Nothing():
            before = self.db.execute(f"SELECT ifnull(max(rowid), 0) FROM {quoted(table)}").fetchone()[0] if word == "INSERT" and kinds else 0
            cursor = self.db.execute(translated, bound)
            names, rows, count = [entry[0] for entry in cursor.description or []], cursor.fetchall(), cursor.rowcount
            if word in ("INSERT", "UPDATE"):
                self.convert(table, kinds, before)
        if names:
            return [self.described(names, rows, kinds)]
        return [(None, [], max(count, 0), False)]

    def with_columns(self, sql, kinds):
        """Without names an insert gives all columns but the one that numbers."""
        found = re.match(rf"(INSERT INTO\s+{NAME})(\s*VALUES.*)", sql, re.I | re.S)
        if found and kinds:
            return f"{found[1]} ({', '.join(quoted(name) for name, _, numbers in kinds if not numbers)}){found[2]}"
        return re.sub(rf"^(INSERT INTO\s+{NAME})\s+DEFAULT VALUES", r"\1 DEFAULT VALUES", sql)

    def convert(self, table, kinds, after):
        """Makes of what was written what its columns keep."""
        names = [name for name, _, _ in kinds]
        columns = [quoted(name) for name in names]
        if not names:
            return
        table_name = quoted(table)
        rows = self.db.execute(f"SELECT rowid, {', '.join(columns)} FROM {table_name} WHERE rowid > ?", (after,)).fetchall()
        for rowid, *values in rows:
            kept = [converted(value, kind, (table, name)) for value, (name, kind, _) in zip(values, kinds)]
            changed = [(name, value) for name, value, old in zip(columns, kept, values) if value != old or type(value) is not type(old)]
            if changed:
                sets = ", ".join(f"{name} = ?" for name, _ in changed)
                self.db.execute(f"UPDATE {table_name} SET {sets} WHERE rowid = ?", (*(value for _, value in changed), rowid))

    def described(self, names, rows, kinds):
        known = {name.lower(): kind for name, kind, _ in kinds}
        described = []
        for place, name in enumerate(names):
            first = next((row[place] for row in rows if row[place] is not None), None)
            is_expression = "(" in name
            kind = known.get(name.lower()) or self.kind_of_value(first)
            if kind.name == "nvarchar" and any(isinstance(row[place], str) and len(row[place]) > 4000 for row in rows):
                kind = Kind("nvarchar")
            described.append(("" if is_expression else name, kind))
        return described, rows, len(rows), True


class Nothing:
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass
