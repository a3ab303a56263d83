// What the component of a guest in JavaScript begins with, made by `lotmq guest build`: what it prints, and what it does not catch, is told in its log.

import { actionHandler as guest } from '../guest.js';
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

function isRunError(thrown) {
  return typeof thrown?.code === 'string' && typeof thrown.message === 'string' && !(thrown instanceof Error);
}

// The error of a run that an exception has ended; its stack goes to the log.
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
  return { code: 'EXCEPTION', message: told.length ? `${text} (${told[0]})` : text, line, column: 0 };
}

const told = (name) => (...inputs) => {
  try {
    return guest[name](...inputs);
  } catch (thrown) {
    const said = [thrown, thrown?.payload].find(isRunError);
    throw said ? { line: 0, column: 0, ...said } : uncaught(thrown);
  }
};

export const actionHandler = { onMessage: told('onMessage'), onEvent: told('onEvent'), call: told('call') };
