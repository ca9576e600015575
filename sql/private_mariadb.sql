-- private_mariadb: who may sign in to the private MariaDB
-- Database: the server
-- Design: run before it takes connections (--init-file), one statement a line. Root gets the installation's password,
--   whatever it had, and no other account is left that can sign in.
-- Parameters: {{password}}, hexadecimal digits.
-- Result sets: none.
-- Errors: none.
-- Safe to repeat because: it leaves the same accounts each time.
ALTER USER 'root'@'localhost' IDENTIFIED BY '{{password}}';
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
FLUSH PRIVILEGES;
