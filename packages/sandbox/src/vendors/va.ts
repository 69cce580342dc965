import type { Behavior } from './behavior.js'

export const va: Behavior = {
  software: 'Lighthouse',
  auth: {
    audience: 'absent',
    scopes: (asked) =>
      asked.some((scope) => scope.includes('/*') || /^patient\/.*\.[cruds]+$/.test(scope))
        ? undefined
        : asked,
    refreshScope: true,
    staticRefresh: true,
  },
}
