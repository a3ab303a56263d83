

from wit_world.exports.route_handler import Description, Failure_Fatal, Failure_Reconnect, Failure_Reject, Failure_Retry, Receipt
from wit_world.imports import net

CLASSES = Failure_Retry, Failure_Reconnect, Failure_Reject, Failure_Fatal
OF_NETWORK = {net.IoError_Denied: Failure_Fatal, net.IoError_LimitReached: Failure_Fatal}
NETWORK = net.IoError.__args__
# Of messages that the broker did not take: the far side has them still.
OF_BROKER = {"NOT_STORED": Failure_Retry, "CLOSED": Failure_Reconnect}


def calls(method, usual, answers=object):
    """What an exception means where the guest does not say it: an error of the network, or of what is published, has its class, all else the usual one of the call."""

    def failed(text, _, value):
        if isinstance(value, Enum) and value.name in OF_BROKER:
            return OF_BROKER[value.name](text)
        is_of_network = isinstance(value, NETWORK)
        return (OF_NETWORK.get(type(value), Failure_Reconnect) if is_of_network else usual)(text)

    return told(method, lambda value: isinstance(value, CLASSES), failed, answers)


class RouteHandler(guest.RouteHandler):
    # It has no error to give, so what it raises is a panic, whose text is in the log.
    def describe(self):
        sys.stdout, sys.stderr = OUTPUTS
        begin()
        try:
            answer = super().describe()
            if not isinstance(answer, Description):
                raise TypeError(f"describe has returned {answer!r}, and has to return Description")
            if misfit := misfit_of(answer):
                raise TypeError(f"describe has returned {answer!r}: {misfit}")
            return answer
        except Exception as error:
            for output in OUTPUTS:
                output.flush()
            uncaught(error)
            # What the interpreter writes of it would come behind, and be the last that the guest has said.
            sys.stderr = io.StringIO()
            raise
        finally:
            for output in OUTPUTS:
                output.flush()

    open = calls(guest.RouteHandler.open, Failure_Reconnect)
    deliver = calls(guest.RouteHandler.deliver, Failure_Reject, Receipt)
    run = calls(guest.RouteHandler.run, Failure_Reconnect, int)
    request = calls(guest.RouteHandler.request, Failure_Reject, bytes)

    def close(self):
        sys.stdout, sys.stderr = OUTPUTS
        try:
            super().close()
        except Exception as error:
            uncaught(error)
        finally:
            for output in OUTPUTS:
                output.flush()
