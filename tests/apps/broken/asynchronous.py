"""Applications of ASGI."""


async def function(scope, receive, send):
    pass


class Application:
    async def __call__(self, scope, receive, send):
        pass


instance = Application()
