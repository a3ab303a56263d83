// What the component of a guest in JavaScript begins with, made by `lotmq guest build`: what it prints, and what it does not catch, is told in its log.

import * as guest from '../guest.js';
import { log } from 'lotmq:guest/logging@0.2.0';

const PLACES_MAX = 16;

function shown(value) {
  if (typeof value !== 'object' || value === null || value instanceof Error) return String(value);
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
  const stack = (thrown instanceof Error && thrown.stack) || '';
  const places = stack.split('\n').filter((place) => place && !/(entry|initializer)\.js:/.test(place));
  const told = places.slice(0, PLACES_MAX).map((place) => {
    const [, where, at] = /^(.*)@(.*)$/.exec(place) ?? ['', '', place];
    return where ? `${at} in ${where}` : at;
  });
  log('error', [text, ...told.map((place) => `at ${place}`)].join('\n'));
  const line = Number(/:(\d+):\d+/.exec(told[0] ?? '')?.[1] ?? 0);
  return { text: told.length ? `${text} (${told[0]})` : text, line };
}

// A function of the handler, which throws nothing but errors of its world: its own, of which isOwn says what one is, or what `failed` makes of an exception.
const told = (handler, name, isOwn, failed) => (...inputs) => {
  try {
    return handler[name](...inputs);
  } catch (thrown) {
    throw [thrown, thrown?.payload].find((it) => isOwn(it) && !(it instanceof Error)) ?? failed(uncaught(thrown), thrown?.payload);
  }
};

const isRunError = (it) => typeof it?.code === 'string' && typeof it.message === 'string';

const runs = (handler, name) => {
  const call = told(handler, name, isRunError, ({ text, line }) => ({ code: 'EXCEPTION', message: text, line, column: 0 }));
  return (...inputs) => {
    try {
      return call(...inputs);
    } catch (error) {
      throw { line: 0, column: 0, ...error };
    }
  };
};
