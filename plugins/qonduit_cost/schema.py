"""The tables of a ledger's SQLite file. They are documented in docs/reference/ledger.md, for readers of every kind."""

from __future__ import annotations

APPLICATION = 0x716E6C67
"""`PRAGMA application_id` of the file."""
VERSION = 1
"""`PRAGMA user_version` of the file."""

SCHEMA = """
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    sent TEXT,
    started_at TEXT NOT NULL,
    settled_at TEXT,
    profile TEXT NOT NULL,
    provider TEXT NOT NULL,
    region TEXT,
    operation TEXT NOT NULL,
    model TEXT,
    response_model TEXT,
    streamed INTEGER NOT NULL,
    tags TEXT NOT NULL,
    tenant TEXT NOT NULL,
    request_id TEXT,
    status INTEGER,
    error TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    total_tokens INTEGER,
    cached_tokens INTEGER,
    explicit_cached_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    image_tokens INTEGER,
    audio_tokens INTEGER,
    video_tokens INTEGER,
    amount TEXT,
    currency TEXT,
    provenance TEXT NOT NULL,
    reason TEXT,
    source TEXT,
    parts TEXT,
    estimate TEXT,
    saved TEXT,
    held TEXT,
    process INTEGER NOT NULL
);
CREATE TABLE budgets (
    name TEXT NOT NULL,
    period TEXT NOT NULL,
    scope TEXT NOT NULL,
    currency TEXT NOT NULL,
    spent TEXT NOT NULL,
    reserved TEXT NOT NULL,
    PRIMARY KEY (name, period, scope, currency)
) WITHOUT ROWID;
CREATE TABLE processes (id INTEGER PRIMARY KEY, opened_at TEXT NOT NULL, last_attempt INTEGER NOT NULL);
CREATE TABLE spools (name TEXT PRIMARY KEY, written_at TEXT NOT NULL, attempts INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE losses (id INTEGER PRIMARY KEY, noticed_at TEXT NOT NULL, attempts INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE VIEW calls AS
SELECT
    gathered.call_id AS call_id,
    gathered.started_at AS started_at,
    gathered.settled_at AS settled_at,
    newest.profile AS profile,
    newest.operation AS operation,
    newest.model AS model,
    newest.tags AS tags,
    gathered.attempts AS attempts,
    gathered.hits AS hits,
    newest.outcome AS outcome,
    gathered.input_tokens AS input_tokens,
    gathered.output_tokens AS output_tokens,
    gathered.total_tokens AS total_tokens,
    gathered.unknown AS unknown,
    gathered.amount AS amount,
    gathered.currency AS currency
FROM (
    SELECT
        call_id,
        max(id) AS newest,
        min(started_at) AS started_at,
        max(settled_at) AS settled_at,
        sum(kind = 'attempt') AS attempts,
        sum(kind = 'hit') AS hits,
        sum(CASE WHEN kind = 'attempt' THEN input_tokens END) AS input_tokens,
        sum(CASE WHEN kind = 'attempt' THEN output_tokens END) AS output_tokens,
        sum(CASE WHEN kind = 'attempt' THEN total_tokens END) AS total_tokens,
        sum(kind = 'attempt' AND amount IS NULL) AS unknown,
        CASE WHEN count(DISTINCT currency) < 2 THEN sum(CAST(amount AS REAL)) END AS amount,
        CASE WHEN count(DISTINCT currency) < 2 THEN max(currency) END AS currency
    FROM attempts GROUP BY call_id
) AS gathered JOIN attempts AS newest ON newest.id = gathered.newest;
CREATE VIEW days AS
SELECT
    substr(started_at, 1, 10) AS day,
    model,
    currency,
    sum(kind = 'attempt') AS attempts,
    sum(kind = 'hit') AS hits,
    sum(CASE WHEN kind = 'attempt' THEN input_tokens END) AS input_tokens,
    sum(CASE WHEN kind = 'attempt' THEN output_tokens END) AS output_tokens,
    sum(CASE WHEN kind = 'attempt' THEN total_tokens END) AS total_tokens,
    sum(CAST(amount AS REAL)) AS amount,
    sum(CAST(saved AS REAL)) AS saved
FROM attempts GROUP BY 1, 2, 3;
CREATE VIEW open_attempts AS SELECT * FROM attempts WHERE state = 'intent'
"""
"""Its statements, with `;` between them. Without indexes: each would make every call dearer than it makes a report
cheaper, which reads a hundred thousand rows in a second. A new version adds columns at the end and raises `VERSION`."""
