'use strict';

// Tells all that a function can see of its process, at its init and in a call.

const fs = require('fs');
const Module = require('module');
const os = require('os');
const path = require('path');
const v8 = require('v8');

const numberless = (text) => text.replace(/\d+/g, 'N');
const sorted = (text, ...names) => text.split('\n').filter((line) => names.some((name) => line.startsWith(name))).sort();

function descriptors() {
  return Object.fromEntries(fs.readdirSync('/proc/self/fd').map((fd) => {
    try {
      return [fd, numberless(fs.readlinkSync(`/proc/self/fd/${fd}`))];
    } catch {
      return [fd, 'the directory itself'];
    }
  }));
}

function world() {
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  return {
    env: Object.entries(process.env),
    initialEnv: fs.readFileSync('/proc/self/environ', 'utf8').split('\0'),
    commandLine: fs.readFileSync('/proc/self/cmdline', 'utf8').split('\0'),
    limits: fs.readFileSync('/proc/self/limits', 'utf8'),
    status: sorted(status, 'Name', 'Umask', 'SigPnd', 'SigBlk', 'SigIgn', 'SigCgt', 'Shd', 'Threads', 'NoNewPrivs', 'Cap'),
    argv: process.argv, argv0: process.argv0, execArgv: process.execArgv, execPath: process.execPath,
    title: process.title, cwd: process.cwd(), exitCode: process.exitCode, features: process.features,
    events: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
    resources: process.getActiveResourcesInfo(),
    descriptors: descriptors(),
    cache: Object.keys(require.cache), main: require.main?.filename, parent: module.parent?.filename,
    children: require.main?.children.map((child) => child.filename),
    paths: module.paths, globalPaths: Module.globalPaths, mainPaths: require.main?.paths,
    resolved: Object.keys(Module._pathCache), extensions: Object.keys(Module._extensions),
    globals: Object.getOwnPropertyNames(globalThis),
    processProperties: Object.getOwnPropertyNames(process),
    console: Object.entries(console).map(([name, value]) => [name, String(value)]),
    locale: Intl.DateTimeFormat().resolvedOptions(), date: new Date(0).toString(), number: (1234.5).toLocaleString(),
    homedir: os.homedir(), tmpdir: os.tmpdir(), priority: os.getPriority(),
    heapLimit: v8.getHeapStatistics().heap_size_limit,
    stackDepth: Error.stackTraceLimit, stack: numberless(new Error('here').stack),
    loadedInternals: process.moduleLoadList,
    sourceMaps: process.sourceMapsEnabled,
    task: fs.readdirSync(path.dirname(module.filename)).sort(),
  };
}

const atInit = world();
exports.handler = async () => ({ atInit, inCall: world() });
