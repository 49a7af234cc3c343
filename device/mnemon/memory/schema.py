"""The tables, as numbered migrations. A migration that was released is never edited.

AUTOINCREMENT where people and other rows name a row by its number: the number of what was forgotten is never given
to something else.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("mnemon")


@migrations()
def m0001_messages(db: Database) -> None:
    """Conversations and the words said in them; FTS5 keeps their words, `vectors` their meaning."""
    db.executescript(
        """
        CREATE TABLE conversations (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL DEFAULT '',
            created_at INTEGER NOT NULL,          -- milliseconds since 1970 UTC, here and below
            updated_at INTEGER NOT NULL,
            leaf_id INTEGER REFERENCES messages (id) ON DELETE SET NULL,
            origin TEXT NOT NULL DEFAULT 'mnemon',
            origin_ref TEXT
        );
        CREATE TABLE messages (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            parent_id INTEGER REFERENCES messages (id) ON DELETE SET NULL,
            role TEXT NOT NULL CHECK (role IN ('owner', 'assistant', 'other')),
            speaker TEXT NOT NULL DEFAULT '',
            text TEXT NOT NULL,
            said_at INTEGER NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('received', 'generating', 'complete', 'stopped', 'failed')),
            model TEXT NOT NULL DEFAULT '',
            route TEXT NOT NULL DEFAULT '',
            ref TEXT,
            context TEXT NOT NULL DEFAULT '',
            recalled TEXT NOT NULL DEFAULT '[]',
            extracted_at INTEGER                  -- NULL: facts have still to be taken from it
        );
        CREATE INDEX messages_conversation ON messages (conversation_id, id);
        CREATE INDEX messages_parent ON messages (parent_id);
        CREATE INDEX messages_pending ON messages (id) WHERE extracted_at IS NULL AND role = 'owner';
        CREATE VIRTUAL TABLE message_words USING fts5 (
            text, content = 'messages', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
        );
        INSERT INTO message_words (message_words, rank) VALUES ('secure-delete', 1);
        CREATE TRIGGER messages_ai AFTER INSERT ON messages BEGIN
            INSERT INTO message_words (rowid, text) VALUES (new.id, new.text);
        END;
        CREATE TRIGGER messages_ad AFTER DELETE ON messages BEGIN
            INSERT INTO message_words (message_words, rowid, text) VALUES ('delete', old.id, old.text);
        END;
        CREATE TRIGGER messages_au AFTER UPDATE OF text ON messages BEGIN
            INSERT INTO message_words (message_words, rowid, text) VALUES ('delete', old.id, old.text);
            INSERT INTO message_words (rowid, text) VALUES (new.id, new.text);
        END;
        CREATE TABLE vectors (
            kind TEXT NOT NULL CHECK (kind IN ('message', 'fact')),
            ref INTEGER NOT NULL,
            vector BLOB NOT NULL,
            PRIMARY KEY (kind, ref)
        ) WITHOUT ROWID;
        CREATE TABLE tombstones (
            digest BLOB PRIMARY KEY,              -- keyed hash of what was forgotten, never its text
            forgotten_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE secrets (
            name TEXT PRIMARY KEY,                -- random values that stay when the memory gets a new key
            value BLOB NOT NULL
        ) WITHOUT ROWID;
        """
    )


@migrations()
def m0002_facts(db: Database) -> None:
    """Bi-temporal facts, and the profile with the facts each of its lines rests on."""
    db.executescript(
        """
        CREATE TABLE facts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            text TEXT NOT NULL,
            subject TEXT NOT NULL DEFAULT 'user',
            attribute TEXT NOT NULL DEFAULT '',
            value TEXT NOT NULL DEFAULT '',
            source_id INTEGER REFERENCES messages (id) ON DELETE CASCADE,
            origin TEXT NOT NULL CHECK (origin IN ('pattern', 'model', 'owner', 'import')),
            valid_from INTEGER NOT NULL,
            valid_to INTEGER,
            superseded_by INTEGER REFERENCES facts (id) ON DELETE SET NULL,
            reason TEXT NOT NULL DEFAULT '',
            created_at INTEGER NOT NULL
        );
        CREATE INDEX facts_subject ON facts (subject, attribute);
        CREATE INDEX facts_source ON facts (source_id);
        CREATE TABLE fact_mentions (              -- later messages that said the same again
            fact_id INTEGER NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
            message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            PRIMARY KEY (fact_id, message_id)
        ) WITHOUT ROWID;
        CREATE INDEX fact_mentions_message ON fact_mentions (message_id);
        CREATE VIRTUAL TABLE fact_words USING fts5 (
            text, content = 'facts', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
        );
        INSERT INTO fact_words (fact_words, rank) VALUES ('secure-delete', 1);
        CREATE TRIGGER facts_ai AFTER INSERT ON facts BEGIN
            INSERT INTO fact_words (rowid, text) VALUES (new.id, new.text);
        END;
        CREATE TRIGGER facts_ad AFTER DELETE ON facts BEGIN
            INSERT INTO fact_words (fact_words, rowid, text) VALUES ('delete', old.id, old.text);
        END;
        CREATE TRIGGER facts_au AFTER UPDATE OF text ON facts BEGIN
            INSERT INTO fact_words (fact_words, rowid, text) VALUES ('delete', old.id, old.text);
            INSERT INTO fact_words (rowid, text) VALUES (new.id, new.text);
        END;
        CREATE TABLE profile_lines (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            text TEXT NOT NULL,
            position INTEGER NOT NULL,
            by_hand INTEGER NOT NULL DEFAULT 0,   -- 1: the owner wrote it; a refresh leaves it alone
            updated_at INTEGER NOT NULL
        );
        CREATE TABLE profile_sources (
            line_id INTEGER NOT NULL REFERENCES profile_lines (id) ON DELETE CASCADE,
            fact_id INTEGER NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
            PRIMARY KEY (line_id, fact_id)
        ) WITHOUT ROWID;
        """
    )


@migrations()
def m0003_levels(db: Database) -> None:
    """Episodes between messages and profile; doubts between facts; corrections; on which days a fact was used.

    An episode goes with the first of its messages that goes, whoever removes it: a trigger sees to it, and marks its
    conversation as one to be looked at again. Why a fact ended is read from the fact that took its place, so the
    copies of later words that ``reason`` held are taken out.
    """
    db.executescript(
        """
        CREATE TABLE vectors_of_three_kinds (
            kind TEXT NOT NULL CHECK (kind IN ('message', 'fact', 'episode')),
            ref INTEGER NOT NULL,
            vector BLOB NOT NULL,
            PRIMARY KEY (kind, ref)
        ) WITHOUT ROWID;
        INSERT INTO vectors_of_three_kinds SELECT kind, ref, vector FROM vectors;
        DROP TABLE vectors;
        ALTER TABLE vectors_of_three_kinds RENAME TO vectors;

        UPDATE facts SET reason = '' WHERE superseded_by IS NOT NULL AND reason != 'edited by the owner';
        CREATE TABLE fact_uses (                  -- days on which an answer said what the fact says
            fact_id INTEGER NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
            day INTEGER NOT NULL,                 -- days since 1970 UTC: once a day is enough to know
            PRIMARY KEY (fact_id, day)
        ) WITHOUT ROWID;
        CREATE TABLE changes (                    -- what the older message says changed with the newer one
            older_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            newer_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            PRIMARY KEY (older_id, newer_id)
        ) WITHOUT ROWID;
        CREATE INDEX changes_newer ON changes (newer_id);
        CREATE TABLE doubts (                     -- two facts that hold, though they may not both
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            older_id INTEGER NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
            newer_id INTEGER NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
            found_at INTEGER NOT NULL,
            settled_at INTEGER,
            UNIQUE (older_id, newer_id)
        );
        CREATE INDEX doubts_newer ON doubts (newer_id);

        ALTER TABLE conversations ADD COLUMN condensed_to INTEGER NOT NULL DEFAULT 0;  -- last message looked at
        CREATE TABLE episodes (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            title TEXT NOT NULL,
            text TEXT NOT NULL,
            origin TEXT NOT NULL CHECK (origin IN ('rule', 'model')),
            began_at INTEGER NOT NULL,
            ended_at INTEGER NOT NULL,
            created_at INTEGER NOT NULL
        );
        CREATE INDEX episodes_conversation ON episodes (conversation_id);
        CREATE INDEX episodes_began ON episodes (began_at);
        CREATE TABLE episode_messages (
            episode_id INTEGER NOT NULL REFERENCES episodes (id) ON DELETE CASCADE,
            message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            PRIMARY KEY (episode_id, message_id)
        ) WITHOUT ROWID;
        CREATE INDEX episode_messages_message ON episode_messages (message_id);
        CREATE TRIGGER episode_messages_ad AFTER DELETE ON episode_messages BEGIN
            DELETE FROM episodes WHERE id = old.episode_id;
        END;
        CREATE VIRTUAL TABLE episode_words USING fts5 (
            title, text, content = 'episodes', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
        );
        INSERT INTO episode_words (episode_words, rank) VALUES ('secure-delete', 1);
        CREATE TRIGGER episodes_ai AFTER INSERT ON episodes BEGIN
            INSERT INTO episode_words (rowid, title, text) VALUES (new.id, new.title, new.text);
        END;
        CREATE TRIGGER episodes_ad AFTER DELETE ON episodes BEGIN
            INSERT INTO episode_words (episode_words, rowid, title, text)
                VALUES ('delete', old.id, old.title, old.text);
            DELETE FROM vectors WHERE kind = 'episode' AND ref = old.id;
            UPDATE conversations SET condensed_to = 0 WHERE id = old.conversation_id;
        END;

        CREATE TABLE corrections (                -- what the owner said to put an answer right
            message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
            answer_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            question_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            created_at INTEGER NOT NULL
        );
        CREATE INDEX corrections_answer ON corrections (answer_id);
        CREATE INDEX corrections_question ON corrections (question_id);
        """
    )


@migrations()
def m0004_passages(db: Database) -> None:
    """Further keys of a message: its sentences, and it with what it replies to.

    A message that is forgotten takes its keys along (the foreign key), and a reply loses the key that holds what it
    replied to (triggers, whoever removes it).
    """
    db.executescript(
        """
        CREATE TABLE passages (
            message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
            windows INTEGER NOT NULL,             -- 1: the first vector is of the message with what it replies to
            vectors BLOB NOT NULL                 -- each a float32 factor and 384 eight-bit numbers
        );
        CREATE TRIGGER passages_of_changed AFTER UPDATE OF text ON messages BEGIN
            DELETE FROM passages WHERE message_id = new.id;
            UPDATE passages SET windows = 0, vectors = substr(vectors, 389)
                WHERE windows = 1 AND message_id IN (SELECT id FROM messages WHERE parent_id = new.id);
        END;
        CREATE TRIGGER passages_of_moved AFTER UPDATE OF parent_id ON messages BEGIN
            UPDATE passages SET windows = 0, vectors = substr(vectors, 389) WHERE windows = 1 AND message_id = new.id;
        END;
        CREATE TRIGGER passages_of_orphans BEFORE DELETE ON messages BEGIN
            UPDATE passages SET windows = 0, vectors = substr(vectors, 389)
                WHERE windows = 1 AND message_id IN (SELECT id FROM messages WHERE parent_id = old.id);
        END;
        """
    )


@migrations()
def m0005_retention(db: Database) -> None:
    """What retention rules forgot: how much and when, never what."""
    db.executescript(
        """
        CREATE TABLE retention_runs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            ran_at INTEGER NOT NULL,
            rule TEXT NOT NULL,                   -- as it stands in the settings
            messages INTEGER NOT NULL,
            facts INTEGER NOT NULL
        );
        """
    )


@migrations()
def m0006_index_parts(db: Database) -> None:
    """What the index holds of 4,096 messages, ready to be loaded. Whatever changes one of them removes its part."""
    gone = "DELETE FROM index_parts WHERE kind = '{kind}' AND part = {id} >> 12;"
    db.executescript(
        f"""
        CREATE TABLE index_parts (                -- with a rowid: keys beside megabytes are slow to compare
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('message', 'fact')),
            part INTEGER NOT NULL,                -- the number of the row, divided by 4,096
            form INTEGER NOT NULL,                -- of the data; another one is made anew
            data BLOB NOT NULL,
            UNIQUE (kind, part)
        );
        CREATE TRIGGER vectors_ai AFTER INSERT ON vectors BEGIN
            DELETE FROM index_parts WHERE kind = new.kind AND part = new.ref >> 12;
        END;
        CREATE TRIGGER vectors_au AFTER UPDATE ON vectors BEGIN
            DELETE FROM index_parts WHERE kind = new.kind AND part = new.ref >> 12;
        END;
        CREATE TRIGGER vectors_ad AFTER DELETE ON vectors BEGIN
            DELETE FROM index_parts WHERE kind = old.kind AND part = old.ref >> 12;
        END;
        CREATE TRIGGER messages_part_au AFTER UPDATE OF text, parent_id, conversation_id, said_at, role, speaker
            ON messages BEGIN {gone.format(kind="message", id="new.id")} END;
        CREATE TRIGGER messages_part_ad AFTER DELETE ON messages BEGIN
            {gone.format(kind="message", id="old.id")}
        END;
        CREATE TRIGGER facts_part_au AFTER UPDATE OF text, valid_from ON facts BEGIN
            {gone.format(kind="fact", id="new.id")}
        END;
        CREATE TRIGGER facts_part_ad AFTER DELETE ON facts BEGIN {gone.format(kind="fact", id="old.id")} END;
        """
    )


@migrations()
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


@migrations()
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


@migrations()
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


@migrations()
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
