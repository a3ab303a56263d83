// Makes the component, for `lotmq guest build`: node build.mjs FILE ENTRY WIT WORLD, where ENTRY takes what guest.js prints and does not catch to its log
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { componentize } from '@bytecodealliance/componentize-js';

const { component } = await componentize({
  sourcePath: resolve(process.argv[3] ?? 'guest.js'),
  witPath: resolve(process.argv[4] ?? 'wit'),
  worldName: `lotmq:guest/${process.argv[5] ?? 'action'}`,
  // A guest has none of WASI that it would need.
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
await writeFile(process.argv[2], component);
