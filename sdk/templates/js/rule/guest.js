// Allows what has a small payload, while the plant is not locked. A Rule asks it: `IF MODULE "my-guest" THEN`.

import { get } from 'lotmq:guest/topic-store@0.2.0';

// Longest payload that it allows, in bytes.
const BYTES_MAX = 64;

const decoder = new TextDecoder();

export const ruleHandler = {
  check(request) {
    const locked = get('plant/locked');
    const isLocked = locked !== undefined && decoder.decode(locked) === 'true';
    const isDenied = isLocked || (request.payload?.length ?? 0) > BYTES_MAX;
    if (isDenied) console.log(`${request.clientId} was denied ${request.topic ?? ''}`);
    return isDenied ? 'deny' : 'allow';
  },
};
