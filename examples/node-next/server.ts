import { type Handler, serve } from '@s4s/node'
import * as route from './app/smart/[...path]/route.js'

// Calls the route file as Next.js does, without Next.js: for the test.
const routes: Readonly<Record<string, Handler>> = { GET: route.GET, POST: route.POST, DELETE: route.DELETE }
const { url } = await serve(
  async (request) => routes[request.method]?.(request) ?? new Response(null, { status: 405 }),
  { port: Number(new URL(process.env.ORIGIN ?? '').port) },
)
process.stdout.write(`The routes are at ${url}/smart\n`)
