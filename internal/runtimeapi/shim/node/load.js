'use strict';

// Loading: from a handler's name to the function, as AWS Lambda's Node.js
// runtime resolves it.

const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const { RuntimeError } = require('./failure.js');

/** Returns the function that handler ("dir/file.export.nested") names below taskRoot. */
async function load(taskRoot, handler) {
  const { root, module, names } = split(handler);
  const exported = await importModule(taskRoot, root, module);
  const found = lookUp(exported, names) ?? lookUp(exported?.default, names);
  if (found === undefined || found === null) {
    throw new RuntimeError('HandlerNotFound', `${module}.${names.join('.')} is undefined or not exported`);
  }
  if (typeof found !== 'function') {
    throw new RuntimeError('HandlerNotFound', `${module}.${names.join('.')} is not a function`);
  }
  return found;
}

function split(handler) {
  if (handler.includes('..')) {
    throw new RuntimeError('MalformedHandlerName',
      `'${handler}' is not a valid handler name. Use a path below the function's root without '..'.`);
  }
  const slash = handler.lastIndexOf('/') + 1;
  const match = /^([^.]+)\.(.+)$/.exec(handler.slice(slash));
  if (match === null) {
    throw new RuntimeError('MalformedHandlerName', `Bad handler '${handler}': write it as file.export, for example index.handler`);
  }
  return { root: handler.slice(0, slash), module: match[1], names: match[2].split('.') };
}

function lookUp(object, names) {
  return names.reduce((value, name) => value?.[name], object);
}

async function importModule(taskRoot, root, module) {
  try {
    const file = locate(taskRoot, root, module);
    if (fs.existsSync(file + '.map')) {
      process.setSourceMapsEnabled(true); // stacks then name the sources of a bundle
    }
    return isModule(file) ? await import(pathToFileURL(file).href) : require(file);
  } catch (err) {
    if (err instanceof SyntaxError) {
      throw new RuntimeError('UserCodeSyntaxError', String(err), err);
    }
    if (err?.code === 'MODULE_NOT_FOUND' || err?.code === 'ERR_MODULE_NOT_FOUND') {
      throw new RuntimeError('ImportModuleError', String(err), err);
    }
    throw err;
  }
}

function locate(taskRoot, root, module) {
  const base = path.resolve(taskRoot, root, module);
  for (const extension of ['', '.js', '.mjs', '.cjs']) {
    if (fs.statSync(base + extension, { throwIfNoEntry: false })?.isFile()) {
      return base + extension;
    }
  }
  try {
    return require.resolve(module, { paths: [path.resolve(taskRoot, root), taskRoot] });
  } catch (err) {
    // A relative name finds a directory with an index file or a package.json.
    return require.resolve(base, { paths: [taskRoot] });
  }
}

/** Reports whether a file is an ES module: by extension, else by the nearest package.json. */
function isModule(file) {
  switch (path.extname(file)) {
    case '.mjs':
      return true;
    case '.js':
      return nearestPackageType(path.dirname(file)) === 'module';
    default:
      return false;
  }
}

function nearestPackageType(dir) {
  for (;;) {
    const parent = path.dirname(dir);
    const file = dir === '/' ? '/package.json' : `${dir}/package.json`;
    try {
      if (fs.existsSync(file)) { // an exception costs more than a look
        return JSON.parse(fs.readFileSync(file, 'utf8')).type;
      }
    } catch (err) {
      if (err.code !== 'ENOENT' && err.code !== 'ENOTDIR' && err.code !== 'EACCES') {
        return undefined; // unreadable as JSON: Node.js itself will say so
      }
    }
    if (parent === dir || path.basename(parent) === 'node_modules') {
      return undefined;
    }
    dir = parent;
  }
}

/** Goes the way of load with a file of the shim itself, up to where it is required. */
function rehearse() {
  const { root, module, names } = split('load.rehearse');
  lookUp({}, names);
  const file = locate(__dirname, root, module);
  fs.existsSync(`${file}.map`);
  isModule(file);
}

module.exports = { load, rehearse };
