'use strict';
// Goes wrong when and how it is told: by the variable IMPORT while it is imported,
// by the event later.
const fs = require('node:fs');

const hoard = [];
let count = 0;

const deeds = {
  exit: () => process.exit(3),
  raise: () => { throw new Error('bad weather'); },
  hang: () => new Promise(() => {}),
  burn: () => { for (;;); },
  spin: () => { setInterval(() => { for (const end = Date.now() + 2; Date.now() < end;); }, 3); },
  eat: () => { for (;;) hoard.push(Buffer.alloc(1 << 20, 1)); },
  leak: () => { hoard.push(Buffer.alloc(8 << 20, 1)); },
  cut: () => { for (let fd = 3; fd < 64; fd++) { try { fs.closeSync(fd); } catch { /* it is not open */ } } },
  deaf: () => { for (const s of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(s, () => {}); },
  count: () => { count++; },
};

if (process.env.IMPORT) deeds[process.env.IMPORT]();

exports.handler = async (event) => {
  if (event.later) setTimeout(deeds[event.later], 1000 * (event.after ?? 0));
  if (event.wait) await new Promise((done) => setTimeout(done, 1000 * event.wait));
  if (event.do) await deeds[event.do]();
  return count;
};
