// Reads {name, version, statement} lines; prints the names of those that the grammar of MySQL Workbench refuses.

import { createInterface } from "node:readline";

import grammar from "ts-mysql-parser";

const parsers = new Map();

for await (const line of createInterface({ input: process.stdin })) {
  const { name, version, statement } = JSON.parse(line);
  if (!parsers.has(version)) parsers.set(version, new grammar.default({ version }));
  const { parserError, lexerError } = parsers.get(version).parse(statement);
  if (parserError || lexerError) console.log(name);
}
