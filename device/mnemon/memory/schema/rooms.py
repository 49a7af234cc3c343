"""What other rooms keep in the same file: the ledger, what is learned from, account and outbox, verdicts on routes.

Here and not with them, because it rests on memories and goes when these go, whoever removes them: foreign keys and
triggers on ``messages`` and ``facts`` see to it.
"""

from __future__ import annotations

from sqlite_utils import Database


def m0010_ledger(db: Database) -> None:
    """What left the device, only ever added to; and for which topics the owner lets words leave unasked.

    When a message or fact goes, the words sent that rested on it go from the ledger; that something left stays.
    """
    gone = "UPDATE ledger SET text = NULL, salt = NULL WHERE id IN (SELECT entry_id FROM ledger_sources"
    sealed = ("id", "at", "kind", "recipient", "bytes", "digest", "kept", "placeholders", "sources", "hash")
    same = " AND ".join(f"new.{name} IS old.{name}" for name in sealed)
    db.executescript(
        f"""
        CREATE TABLE ledger (
            id INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            kind TEXT NOT NULL,
            recipient TEXT NOT NULL,
            bytes INTEGER NOT NULL,
            digest BLOB NOT NULL,                 -- SHA-256 of salt and text
            kept TEXT NOT NULL CHECK (kept IN ('text', 'digest')),
            placeholders TEXT NOT NULL,           -- those sent, without what they stand for
            sources TEXT NOT NULL,                -- the memories the text held words of
            hash BLOB NOT NULL,                   -- seals this entry and, through the one before, all earlier ones
            salt BLOB,
            text TEXT
        );
        CREATE TABLE ledger_sources (
            entry_id INTEGER NOT NULL REFERENCES ledger (id),
            kind TEXT NOT NULL CHECK (kind IN ('m', 'f')),
            ref INTEGER NOT NULL,
            PRIMARY KEY (kind, ref, entry_id)
        ) WITHOUT ROWID;
        CREATE TABLE ledger_head (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            entries INTEGER NOT NULL,
            seal BLOB NOT NULL
        );
        CREATE TRIGGER ledger_bd BEFORE DELETE ON ledger BEGIN
            SELECT raise(ABORT, 'the ledger is only added to');
        END;
        CREATE TRIGGER ledger_bu BEFORE UPDATE ON ledger
            WHEN new.text IS NOT NULL OR new.salt IS NOT NULL OR NOT ({same}) BEGIN
            SELECT raise(ABORT, 'the ledger is only added to');
        END;
        CREATE TRIGGER ledger_messages_ad AFTER DELETE ON messages BEGIN
            {gone} WHERE kind = 'm' AND ref = old.id);
        END;
        CREATE TRIGGER ledger_facts_ad AFTER DELETE ON facts BEGIN
            {gone} WHERE kind = 'f' AND ref = old.id);
        END;
        CREATE TABLE permissions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            topic TEXT NOT NULL,
            given_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL
        );
        """
    )


def m0011_learning(db: Database) -> None:
    """What is learned from, every step of learning, and which adapter holds.

    An example goes with the first of the memories it rests on that goes or is reworded, whoever does it. Steps name
    their examples by number inside ``record``; taking those steps out is :mod:`mnemon.learning.versions`' work, and
    until it is done a version with a missing example is not used.
    """
    gone = "DELETE FROM learning_examples WHERE id IN (SELECT example_id FROM learning_sources"
    db.executescript(
        f"""
        CREATE TABLE learning_examples (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            prompt TEXT NOT NULL,                 -- JSON: pairs of role and content
            chosen TEXT NOT NULL,
            rejected TEXT,
            kind TEXT NOT NULL,
            conversation TEXT NOT NULL,
            at INTEGER NOT NULL
        );
        CREATE TABLE learning_sources (           -- the memories an example rests on
            example_id INTEGER NOT NULL REFERENCES learning_examples (id) ON DELETE CASCADE,
            kind TEXT NOT NULL CHECK (kind IN ('m', 'f')),
            ref INTEGER NOT NULL,
            PRIMARY KEY (kind, ref, example_id)
        ) WITHOUT ROWID;
        CREATE INDEX learning_sources_example ON learning_sources (example_id);
        CREATE TABLE learning_traces (            -- how an example differs inside a base model from its own answer
            example_id INTEGER NOT NULL REFERENCES learning_examples (id) ON DELETE CASCADE,
            base BLOB NOT NULL,                   -- SHA-256 of the model's file
            exponent INTEGER NOT NULL,            -- the numbers are 16-bit integers times 2 to this power
            layers INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (example_id, base)
        );
        CREATE TABLE learning_lessons (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            began_at INTEGER NOT NULL,
            header BLOB NOT NULL,                 -- of its journal
            continues INTEGER REFERENCES learning_versions (id) ON DELETE SET NULL,
            state TEXT NOT NULL CHECK (state IN ('running', 'accepted', 'rejected', 'failed')),
            report TEXT NOT NULL DEFAULT '{{}}'     -- JSON: what it came to, in numbers
        );
        CREATE TABLE learning_steps (
            lesson_id INTEGER NOT NULL REFERENCES learning_lessons (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            record BLOB NOT NULL,
            PRIMARY KEY (lesson_id, number)
        ) WITHOUT ROWID;
        CREATE TABLE learning_versions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            lesson_id INTEGER NOT NULL UNIQUE REFERENCES learning_lessons (id) ON DELETE CASCADE,
            at INTEGER NOT NULL,
            active INTEGER NOT NULL DEFAULT 0,
            stale INTEGER NOT NULL DEFAULT 0      -- 1: an example of it was forgotten, and it was not tested again
        );
        CREATE TRIGGER learning_messages_ad AFTER DELETE ON messages BEGIN
            {gone} WHERE kind = 'm' AND ref = old.id);
        END;
        CREATE TRIGGER learning_messages_au AFTER UPDATE OF text ON messages WHEN new.text IS NOT old.text BEGIN
            {gone} WHERE kind = 'm' AND ref = new.id);
        END;
        CREATE TRIGGER learning_facts_ad AFTER DELETE ON facts BEGIN
            {gone} WHERE kind = 'f' AND ref = old.id);
        END;
        CREATE TRIGGER learning_examples_ad AFTER DELETE ON learning_examples BEGIN
            UPDATE learning_versions SET stale = 1 WHERE lesson_id IN (
                SELECT l.id FROM learning_lessons AS l, json_each(l.report, '$.examples') AS used
                WHERE used.value = old.id);
        END;
        """
    )


def m0012_cloud(db: Database) -> None:
    """At which server this device is enrolled, and the questions that wait for it.

    A waiting question goes with whatever it holds words of, whoever removes that. Once it is answered nothing of it
    stays here but that it was, until the owner has seen the answer.
    """
    gone = "DELETE FROM outbox WHERE id IN (SELECT outbox_id FROM outbox_sources"
    db.executescript(
        f"""
        CREATE TABLE cloud_account (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            address TEXT NOT NULL,                -- host:port
            tls_name TEXT NOT NULL,               -- the name its certificate must have
            authority BLOB NOT NULL,              -- the certificate to trust, DER; empty: the system's
            server_key BLOB NOT NULL,             -- Ed25519: the server's identity
            private_key BLOB NOT NULL,            -- Ed25519: this device's
            secret BLOB,                          -- the invite's, until the server has taken it
            device_id BLOB,                       -- NULL: not enrolled yet
            insecure INTEGER NOT NULL,
            enrolled_at INTEGER
        );
        CREATE TABLE outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            request_id BLOB NOT NULL UNIQUE,      -- the same each time it is sent: what makes an answer come once
            keep_key BLOB NOT NULL,               -- likewise; the server keeps the answer under it
            question_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            text TEXT NOT NULL,                   -- the exact words the owner let leave
            meanings TEXT NOT NULL,               -- what its placeholders stand for
            state TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'answered', 'given up')),
            queued_at INTEGER NOT NULL,
            next_at INTEGER NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            problem TEXT NOT NULL DEFAULT '',     -- why the last attempt failed
            answer_id INTEGER REFERENCES messages (id) ON DELETE CASCADE
        );
        CREATE INDEX outbox_question ON outbox (question_id);
        CREATE INDEX outbox_answer ON outbox (answer_id);
        CREATE TABLE outbox_sources (
            outbox_id INTEGER NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
            kind TEXT NOT NULL CHECK (kind IN ('m', 'f')),
            ref INTEGER NOT NULL,
            PRIMARY KEY (kind, ref, outbox_id)
        ) WITHOUT ROWID;
        CREATE INDEX outbox_sources_outbox ON outbox_sources (outbox_id);
        CREATE TRIGGER outbox_messages_ad AFTER DELETE ON messages BEGIN
            {gone} WHERE kind = 'm' AND ref = old.id);
        END;
        CREATE TRIGGER outbox_facts_ad AFTER DELETE ON facts BEGIN
            {gone} WHERE kind = 'f' AND ref = old.id);
        END;
        """
    )


def m0013_routing(db: Database) -> None:
    """Where the owner wanted a question to go. A verdict goes with its question."""
    db.executescript(
        """
        CREATE TABLE routing_verdicts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            message_id INTEGER NOT NULL UNIQUE REFERENCES messages (id) ON DELETE CASCADE,
            wanted TEXT NOT NULL CHECK (wanted IN ('cloud', 'local')),
            logit REAL NOT NULL,                  -- how hard it was taken to be, before anything was learned
            embedding BLOB NOT NULL,              -- float16
            said_at INTEGER NOT NULL
        );
        """
    )


def m0014_outbox_length(db: Database) -> None:
    """The longest answer waits with its question, so that it is the same question whatever the settings say later.

    What left before this may have an answer under another length. It becomes another question: under its old id a
    server would refuse it.
    """
    db.execute("ALTER TABLE outbox ADD COLUMN max_tokens INTEGER NOT NULL DEFAULT 0")
    db.execute("UPDATE outbox SET request_id = randomblob(16) WHERE attempts > 0 AND state IN ('waiting', 'sending')")


STEPS = (
    m0010_ledger,
    m0011_learning,
    m0012_cloud,
    m0013_routing,
    m0014_outbox_length,
)
