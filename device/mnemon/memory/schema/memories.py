"""What is remembered: messages and facts with their indexes, episodes, further keys, what retention rules did.

AUTOINCREMENT where people and other rows name a row by its number: the number of what was forgotten is never given
to something else.
"""

from __future__ import annotations

from sqlite_utils import Database


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


STEPS = (
    m0001_messages,
    m0002_facts,
    m0003_levels,
    m0004_passages,
    m0005_retention,
    m0006_index_parts,
)
