-- A job behind another one of its lane. In a migration of its own: a new value can be used once it is committed.
ALTER TYPE q.state ADD VALUE 'blocked';
