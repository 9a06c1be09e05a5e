"""Write `not a is b` for `a is not b`, and `not a in b`: the same, but where it is a condition MicroPython's compiler
turns the jump around, while `is not` is an operation more: a byte, and 75 instructions."""

import ast

_AS = {ast.IsNot: ast.Is, ast.NotIn: ast.In}


class _Negations(ast.NodeTransformer):
    def visit_Compare(self, node: ast.Compare) -> ast.expr:  # noqa: N802 - ast's name
        self.generic_visit(node)
        kind = type(node.ops[0])
        if len(node.ops) > 1 or kind not in _AS:
            return node
        node.ops = [_AS[kind]()]
        return ast.copy_location(ast.UnaryOp(ast.Not(), node), node)


def negate_outside(tree: ast.Module) -> None:
    """Of a module that is otherwise ready."""
    _Negations().visit(tree)
