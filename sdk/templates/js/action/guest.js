// Publishes the readings of `raw/<sensor>`, which are in tenths, as degrees on `scaled/<sensor>`.

import { log } from 'lotmq:guest/logging@0.2.0';
import { publish } from 'lotmq:guest/messages@0.2.0';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

function error(code, message) {
  return { code, message, line: 0, column: 0 };
}

export const actionHandler = {
  onMessage(message) {
    const sensor = message.topic.split('/').pop();
    const reading = decoder.decode(message.payload);
    // Number takes blanks for 0.
    const degrees = reading.trim() ? Number(reading) / 10 : NaN;
    if (Number.isNaN(degrees)) {
      throw error('NOT_A_NUMBER', `'${reading}' is not a number`);
    }
    log('info', `${sensor} has ${degrees} degrees`);
    publish(`scaled/${sensor}`, encoder.encode(String(degrees)), 'at-most-once', false);
  },

  onEvent(event) {},

  call(inputs, trigger) {
    throw error('NOT_CALLABLE', 'this action cannot be called');
  },
};
