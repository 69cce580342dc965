import type { IncomingMessage, ServerResponse } from 'node:http'
import { answerWith, type Handler } from '../node-http.js'

/** What Express calls: its own types, without asking for Express. */
export type ExpressHandler = (request: IncomingMessage, response: ServerResponse) => void

/**
 * A node client or an inbox as Express middleware. Mount it before any body parser.
 *
 * @example app.use('/smart', toExpress(smart))
 */
export function toExpress(served: Handler | { readonly handler: Handler }): ExpressHandler {
  const handler = typeof served === 'function' ? served : served.handler
  return (request, response) => {
    // The host is nobody's business here: the handler answers by path, and knows from its options where it is.
    void answerWith(handler, request, response, 'http://localhost')
  }
}
