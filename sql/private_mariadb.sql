-- What the private MariaDB runs before it takes connections (--init-file): root gets the installation's password,
-- whatever it had, and no other account can sign in. One statement a line. {{password}} has hexadecimal digits only.
ALTER USER 'root'@'localhost' IDENTIFIED BY '{{password}}';
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
FLUSH PRIVILEGES;
