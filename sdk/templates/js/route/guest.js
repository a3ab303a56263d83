// A route that writes each message as a line to a TCP connection, to the endpoint `line` of its configuration.

import { Tcp, wait } from 'lotmq:guest/net@0.2.0';

// The settings of a route that this guest knows, in JSON Schema: the section of the endpoint has none but the host's own, such as HOST and PORT.
const SETTINGS = {
  properties: { sections: { required: ['LINE_CONFIG'], properties: { LINE_CONFIG: { additionalProperties: false } } } },
};

// Longest wait for the other side, in milliseconds.
const TIMEOUT_MS = 5_000;

let line;

// Writes all of it, however little the connection takes at once.
function send(bytes) {
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(line.write(bytes));
    } catch (error) {
      if (error.payload?.tag !== 'would-block') throw error;
      if (wait([{ tag: 'writable', val: line }], TIMEOUT_MS).length === 0) {
        throw { tag: 'reconnect', val: 'the other side takes nothing' };
      }
    }
  }
}

export const routeHandler = {
  describe() {
    return { configuration: JSON.stringify(SETTINGS), abilities: { deliver: true } };
  },

  open(configuration) {
    line = Tcp.connect('line', TIMEOUT_MS);
    console.log('connected');
  },

  deliver(batch) {
    for (const { message } of batch) {
      send(new Uint8Array([...message.payload, 10]));
    }
    return { accepted: batch.length, rejected: [] };
  },

  run(untilMs) {
    return untilMs;
  },

  request(operation, body) {
    throw { tag: 'reject', val: `unknown operation '${operation}'` };
  },

  close() {},
};
