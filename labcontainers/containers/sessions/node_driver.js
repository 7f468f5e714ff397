// The program that a node session runs inside the container: it takes texts from descriptor 3, and answers there.
// Requests are lines of JSON, answers end with a zero byte. It must not need anything but Node itself, from version 12 on.
"use strict";
const net = require("net");
const path = require("path");
const util = require("util");
const vm = require("vm");
const { createRequire } = require("module");

const control = new net.Socket({ fd: 3, readable: true, writable: true });
const answer = (...words) => control.write(`${words.join(" ")}\0`);

// What is printed is seen at once, also from a loop that lets nothing else happen; and nothing of it is left when a cell's end is told.
const outputs = [process.stdout, process.stderr];
outputs.forEach(({ _handle }) => _handle && _handle.setBlocking && _handle.setBlocking(true));
const written = () => Promise.all(outputs.map((output) => new Promise((resolve) => output.write("", resolve))));

const context = vm.createContext({});
for (const name of Object.getOwnPropertyNames(globalThis)) {
  if (!(name in context) && name !== "globalThis" && name !== "global") {
    Object.defineProperty(context, name, { ...Object.getOwnPropertyDescriptor(globalThis, name), configurable: true });
  }
}
Object.assign(context, { require: createRequire(path.join(process.cwd(), "session")), process, console, Buffer, global: context });

let stop = null; // what an interrupt calls while a promise is waited for
process.on("SIGINT", () => stop && stop());
const own = /\n\s+at (?:new )?(?:Script\.runIn|Object\.runIn|runIn|execute|serve|[^\n]*\(?\[eval\]|[^\n]*\(?(?:node:|internal\/|vm\.js|events\.js|net\.js|_stream))[^\n]*/g;
const tell = (error) => {
  const text = error !== null && typeof error === "object" && typeof error.stack === "string" ? error.stack : `Uncaught ${util.inspect(error)}`;
  process.stderr.write(`${text.replace(own, "")}\n`);
};
process.on("unhandledRejection", tell);
process.on("uncaughtException", tell);

let cells = 0;
const interrupted = Symbol("interrupted");

async function execute(text) {
  cells += 1;
  try {
    let value = new vm.Script(text, { filename: `<cell ${cells}>` }).runInContext(context, { breakOnSigint: true });
    if (value !== null && typeof value === "object" && typeof value.then === "function") {
      const stopped = new Promise((resolve) => {
        stop = () => resolve(interrupted);
      });
      const alive = setInterval(() => {}, 1 << 30);
      try {
        value = await Promise.race([value, stopped]);
      } finally {
        stop = null;
        clearInterval(alive);
      }
    }
    if (value === interrupted) {
      return 130;
    }
    if (value !== undefined) {
      process.stdout.write(`${util.inspect(value)}\n`);
    }
    return 0;
  } catch (error) {
    if (error && error.code === "ERR_SCRIPT_EXECUTION_INTERRUPTED") {
      return 130;
    }
    tell(error);
    return 1;
  }
}

function refusal(value, where, within) {
  if (value === null || ["string", "boolean"].includes(typeof value)) {
    return "";
  }
  if (typeof value === "number") {
    return Number.isFinite(value) ? "" : `${where} is ${value}, which JSON cannot hold`;
  }
  if (typeof value !== "object") {
    return `${where} is ${typeof value === "undefined" ? "undefined" : `a ${typeof value}`}, which JSON cannot hold`;
  }
  if (within.includes(value)) {
    return `${where} contains itself`;
  }
  const name = Object.prototype.toString.call(value).slice(8, -1);
  const plain = name === "Array" || (name === "Object" && (!value.constructor || value.constructor.name === "Object"));
  if (!plain) {
    return `${where} is of type ${(value.constructor && value.constructor.name) || name}, which JSON cannot hold`;
  }
  for (const [key, item] of Object.entries(value)) {
    const said = refusal(item, name === "Array" ? `${where}[${key}]` : `${where}[${JSON.stringify(key)}]`, [...within, value]);
    if (said) {
      return said;
    }
  }
  return "";
}

function push(number, name, value) {
  try {
    Object.defineProperty(context, "__lab_pushed", { value: JSON.stringify(value.json), configurable: true });
    vm.runInContext(`${name} = JSON.parse(__lab_pushed)`, context);
    answer("took", number, name);
  } catch (error) {
    answer("refused", number, `${name}=${error.message}`);
  } finally {
    delete context.__lab_pushed;
  }
}

function pull(number, name) {
  try {
    if (vm.runInContext(`typeof ${name}`, context) === "undefined") {
      answer("unset", number, name);
      return;
    }
    const value = vm.runInContext(name, context);
    const said = refusal(value, name, []);
    answer(said ? "refused" : "value", number, `${name}=${said || JSON.stringify(value)}`);
  } catch (error) {
    answer("refused", number, `${name}=${error.message}`);
  }
}

async function serve(request) {
  let code = 0;
  if (request.do === "run") {
    answer("began", request.number);
    code = await execute(request.text);
    await written();
  } else if (request.do === "push") {
    Object.entries(request.values).forEach(([name, value]) => push(request.number, name, value));
  } else {
    request.names.forEach((name) => pull(request.number, name));
  }
  answer("ended", request.number, code);
}

let pieces = [];
control.on("data", (data) => {
  let rest = data;
  for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
    const line = Buffer.concat([...pieces, rest.slice(0, end)]).toString();
    pieces = [];
    rest = rest.slice(end + 1);
    serve(JSON.parse(line));
  }
  pieces.push(rest);
});
control.on("end", () => process.exit(0));
answer("ready", 0, process.pid);
