// Runs `npm start` until it prints an address, opens that, and ends it.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { top } from './documents.mjs'

// A group of its own: npm, the build and the servers end together.
const child = spawn(process.execPath, [join(top, 'scripts/run.mjs'), 'start'], {
  cwd: top,
  detached: true,
  stdio: ['ignore', 'pipe', 'pipe'],
})
let output = ''
let failed = true
try {
  const url = await address()
  const response = await fetch(url)
  const page = await response.text()
  failed = response.status !== 200 || !page.toLowerCase().includes('<!doctype html>')
  process.stdout.write(`start: ${url} answers ${response.status}\n`)
} catch (error) {
  process.stderr.write(`${error.message}\n${output}\n`)
} finally {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  if (child.exitCode === null) {
    process.kill(-child.pid, 'SIGTERM')
    await ended
  }
}
process.exitCode = failed ? 1 : 0

function address() {
  return new Promise((resolve, reject) => {
    const read = (chunk) => {
      output += chunk
      const url = /http:\/\/(?:127\.0\.0\.1|localhost):\d+\S*/.exec(output)?.[0]
      if (url) resolve(url)
    }
    child.stdout.setEncoding('utf8').on('data', read)
    child.stderr.setEncoding('utf8').on('data', read)
    child.once('exit', (code) => reject(new Error(`npm start ended with ${code} before it named an address`)))
  })
}
