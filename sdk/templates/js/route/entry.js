
const { routeHandler: route } = guest;

const CLASSES = ['retry', 'reconnect', 'reject', 'fatal'];
const OF_NETWORK = { denied: 'fatal', 'limit-reached': 'fatal' };
// Of messages that the broker did not take: the far side has them still.
const OF_BROKER = { 'not-stored': 'retry' };
const NETWORK = ['denied', 'refused', 'unreachable', 'timed-out', 'closed', 'would-block', 'tls', 'limit-reached', 'other'];

const isFailure = (it) => CLASSES.includes(it?.tag) && typeof it.val === 'string';

// What an exception means where the guest does not say it: an error of the network, or of what is published, has its class, all else the usual one of the call.
const calls = (name, usual, isAnswer, wanted) => {
  const failed = ({ text }, payload) => {
    const ofNetwork = NETWORK.includes(payload?.tag) && (OF_NETWORK[payload.tag] ?? 'reconnect');
    return { tag: OF_BROKER[payload] ?? (ofNetwork || usual), val: text };
  };
  return told(route, name, isFailure, failed, isAnswer, wanted);
};

const isRejection = (it) => isU32(it?.index) && isText(it.reason);
const isReceipt = (it) => isU32(it?.accepted) && Array.isArray(it.rejected) && it.rejected.every(isRejection);
const isDescription = (it) => isText(it?.configuration) && typeof it.abilities === 'object';

// It has no error to give, so what it throws is a panic, whose text is in the log.
function describe() {
  try {
    return checked('describe', route.describe(), isDescription, "{ configuration, abilities }, as { configuration: '{}', abilities: { deliver: true } }");
  } catch (thrown) {
    uncaught(thrown);
    throw thrown;
  }
}

export const routeHandler = {
  describe,
  open: calls('open', 'reconnect'),
  deliver: calls('deliver', 'reject', isReceipt, '{ accepted, rejected }, as { accepted: batch.length, rejected: [] }, where those rejected are { index, reason }'),
  run: calls('run', 'reconnect', isU32, 'milliseconds, a whole number from 0 to 4294967295'),
  request: calls('request', 'reject', (it) => it instanceof Uint8Array, 'a Uint8Array'),
  close() {
    try {
      route.close();
    } catch (thrown) {
      uncaught(thrown);
    }
  },
};
