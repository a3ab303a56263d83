// What the component of a guest in JavaScript begins with, made by `lotmq guest build`: what it prints, and what it does not catch, is told in its log.

import * as guest from '../guest.js';
import { monotonicMs, nowMs, random } from 'lotmq:guest/ambient@0.2.0';
import { log } from 'lotmq:guest/logging@0.2.0';

const PLACES_MAX = 16;

const absent = (name, instead) => () => {
  throw new Error(`${name} is not there in a guest: ${instead}`);
};

// They would end the guest without a word.
globalThis.fetch = absent('fetch', 'a route has lotmq:guest/http');
globalThis.setTimeout = globalThis.setInterval = absent('a timer', 'a route waits by wait of lotmq:guest/net, or returns from run when it wants to be called again');

// Time and chance of the broker: those of the engine are as they were when the component was made, the same in each instance.
const EngineDate = Date;
globalThis.Date = class Date extends EngineDate {
  constructor(...given) {
    super(...(given.length ? given : [Number(nowMs())]));
  }

  static now() {
    return Number(nowMs());
  }
};
globalThis.performance = { now: () => Number(monotonicMs()) };
Math.random = () => Number(random() >> 11n) / 2 ** 53;

// What is given where bytes are wanted and is none would be taken for no bytes, without a word. The bindings of the contract have a global of their own, to which their functions lead; what they
// copy has no length there.
const bindings = Object.getPrototypeOf(log).constructor('return globalThis')();
for (const realm of new Set([globalThis, bindings])) {
  realm.Uint8Array = new Proxy(realm.Uint8Array, {
    construct(made, given, as) {
      const isText = typeof given[0] === 'string';
      if (isText || (given.length === 3 && Number.isNaN(given[2]))) {
        const what = isText ? `the text '${given[0].slice(0, 40)}'` : `a value of type ${typeof given[0]}`;
        throw new TypeError(`bytes are a Uint8Array, and not ${what}: new TextEncoder().encode(text)`);
      }
      return Reflect.construct(made, given, as);
    },
  });
}

function getRandomValues(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] = Number(random() & 255n);
  }
  return view;
}

function randomUUID() {
  const bytes = getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

Object.defineProperty(globalThis, 'crypto', { value: { getRandomValues, randomUUID }, configurable: true, writable: true });

function shown(value) {
  if (typeof value !== 'object' || value === null || typeof value.stack === 'string') return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return String(value);
  }
}

const printing = (level) => (...values) => log(level, values.map(shown).join(' '));

globalThis.console = {
  ...console,
  trace: printing('trace'),
  debug: printing('debug'),
  log: printing('info'),
  info: printing('info'),
  warn: printing('warn'),
  error: printing('error'),
};

// What an exception is that has ended a call: its text, with its place, and the line. Its stack goes to the log.
function uncaught(thrown) {
  const text = 'payload' in Object(thrown) ? `Error: ${shown(thrown.payload)}` : shown(thrown);
  const stack = typeof thrown?.stack === 'string' ? thrown.stack : '';
  const places = stack.split('\n').filter((place) => place && !/(entry|initializer)\.js:/.test(place));
  const told = places.slice(0, PLACES_MAX).map((place) => {
    const [, where, at] = /^(.*)@(.*)$/.exec(place) ?? ['', '', place];
    return where ? `${at} in ${where}` : at;
  });
  log('error', [text, ...told.map((place) => `at ${place}`)].join('\n'));
  const line = Number(/:(\d+):\d+/.exec(told[0] ?? '')?.[1] ?? 0);
  return { text: told.length ? `${text} (${told[0]})` : text, line };
}

// What a function of the handler has returned, which is what it has to return: the contract would end the guest without a word otherwise, and nobody waits for a promise.
function checked(name, answer, isAnswer, wanted) {
  if (typeof answer?.then === 'function') {
    // Its rejection is nobody's.
    answer.then(() => {}, () => {});
    throw new TypeError(`${name} is async, or has returned a promise, which nobody waits for: write it without async${wanted && `, and return ${wanted}`}`);
  }
  if (!isAnswer(answer)) {
    throw new TypeError(`${name} has returned ${shown(answer)}, and has to return ${wanted}`);
  }
  return answer;
}

const isU32 = (it) => Number.isInteger(it) && it >= 0 && it < 2 ** 32;
const isS64 = (it) => typeof it === 'bigint' && BigInt.asIntN(64, it) === it;
const isText = (it) => typeof it === 'string';

// A function of the handler, which throws nothing but errors of its world: its own, of which isOwn says what one is, or what `failed` makes of an exception.
const told = (handler, name, isOwn, failed, isAnswer = () => true, wanted = '') => (...inputs) => {
  try {
    return checked(name, handler[name](...inputs), isAnswer, wanted);
  } catch (thrown) {
    throw [thrown, thrown?.payload].find((it) => isOwn(it) && !(it instanceof Error)) ?? failed(uncaught(thrown), thrown?.payload);
  }
};

const isRunError = (it) => typeof it?.code === 'string' && typeof it.message === 'string';

const runs = (handler, name, isAnswer, wanted) => {
  const failed = ({ text, line }) => ({ code: 'EXCEPTION', message: text, line, column: 0 });
  const call = told(handler, name, isRunError, failed, isAnswer, wanted);
  return (...inputs) => {
    try {
      return call(...inputs);
    } catch (error) {
      throw { line: 0, column: 0, ...error };
    }
  };
};
