// Test titles and the ids in them. Read from the syntax tree, so that a test that is commented out, skipped or to be
// written proves nothing.
import ts from 'typescript'

const id = String.raw`(?:[A-Z]-\d{2}|KF-\d{2}|T\d{1,2}|F\d{2})`

/**
 * The ids of a title, ranges such as `G-01 to G-08` spelled out.
 *
 * @param {string} title
 * @returns {string[]}
 */
export function idsOf(title) {
  const found = new Set()
  const pattern = new RegExp(String.raw`(?<![\w-])(${id})(?: to (${id}))?(?![\w-])`, 'g')
  for (const [, first, last] of title.matchAll(pattern)) {
    found.add(first)
    if (last === undefined) continue
    const [prefix, from] = split(first)
    const [, to] = split(last)
    for (let n = from; n <= to; n++) found.add(prefix + String(n).padStart(first.length - prefix.length, '0'))
  }
  return [...found]
}

const split = (one) => {
  const [, prefix, number] = /^(.*?)(\d+)$/.exec(one)
  return [prefix, Number(number)]
}

/**
 * The tests of a file that run: their titles, and the ids that they or the `describe` around them carry.
 *
 * @param {string} text
 * @returns {{ title: string, ids: string[] }[]}
 */
export function testsIn(text) {
  const tests = []
  const visit = (node, around) => {
    const call = ts.isCallExpression(node) ? called(node) : undefined
    if (call === 'off') return
    if (call?.kind === 'test')
      tests.push({ title: call.title, ids: [...new Set([...around, ...idsOf(call.title)])] })
    const inner = call?.kind === 'describe' ? [...around, ...idsOf(call.title)] : around
    ts.forEachChild(node, (child) => visit(child, inner))
  }
  visit(ts.createSourceFile('test.ts', text, ts.ScriptTarget.Latest, true), [])
  return tests
}

// `test('…')`, `test.each(…)('…')`, `describe('…')`; `off` for one that does not run.
function called(node) {
  const names = []
  let callee = node.expression
  for (;;) {
    if (ts.isCallExpression(callee) || ts.isTaggedTemplateExpression(callee))
      callee = callee.expression ?? callee.tag
    else if (ts.isPropertyAccessExpression(callee)) {
      names.push(callee.name.text)
      callee = callee.expression
    } else break
  }
  if (!ts.isIdentifier(callee) || !['test', 'it', 'describe'].includes(callee.text)) return undefined
  if (names.some((name) => ['skip', 'todo', 'fails'].includes(name))) return 'off'
  const [first] = node.arguments
  if (!first) return undefined
  const title = ts.isStringLiteralLike(first)
    ? first.text
    : ts.isTemplateExpression(first)
      ? first.head.text + first.templateSpans.map((span) => `…${span.literal.text}`).join('')
      : undefined
  return title === undefined ? undefined : { kind: callee.text === 'describe' ? 'describe' : 'test', title }
}
