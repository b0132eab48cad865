-- $1 text address
INSERT INTO web.failed_login (address) VALUES ($1)
