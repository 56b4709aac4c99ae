-- All decisions on one conversation of the tenant `default`, the oldest first; for SQLite
-- and PostgreSQL. Put the conversation's name in place of chat-1.
SELECT a.sequence, a.entry
FROM tie t JOIN audit a ON a.sequence = t.sequence
WHERE t.tenant = 'default' AND t.conversation = 'chat-1'
ORDER BY a.sequence;
