/* The command that the environment `lua` is: `lua SCRIPT [ARGUMENT]...`, with the tables, messages and exit codes of the
 * standalone interpreter. The script's first line may start with `#`; an error that nobody catches goes to stderr with a
 * traceback and ends with 1. There is no prompt and no option. */
#include <stdio.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

static int explain(lua_State *state) {
    const char *message = lua_tostring(state, 1);
    if (message == NULL) {
        if (luaL_callmeta(state, 1, "__tostring") && lua_type(state, -1) == LUA_TSTRING) return 1;
        message = lua_pushfstring(state, "(error object is a %s value)", luaL_typename(state, 1));
    }
    luaL_traceback(state, state, message, 1);
    return 1;
}

/* `arg`: the interpreter at -1, the script at 0, its arguments from 1 on, which it also gets as `...`. */
static int run(lua_State *state) {
    int count = (int)lua_tointeger(state, 1);
    char **words = lua_touserdata(state, 2);
    luaL_checkversion(state);
    luaL_openlibs(state);
    lua_createtable(state, count > 2 ? count - 2 : 0, 2);
    for (int i = 0; i < count; i++) {
        lua_pushstring(state, words[i]);
        lua_rawseti(state, -2, i - 1);
    }
    lua_setglobal(state, "arg");
    lua_pushcfunction(state, explain);
    int handler = lua_gettop(state);
    int status = luaL_loadfile(state, words[1]);
    if (status == LUA_OK) {
        luaL_checkstack(state, count, "too many arguments");
        for (int i = 2; i < count; i++) lua_pushstring(state, words[i]);
        status = lua_pcall(state, count - 2, 0, handler);
    }
    if (status != LUA_OK) return lua_error(state);
    return 0;
}

int main(int count, char **words) {
    if (count < 2) {
        fputs("lua: no script; the first argument names it\n", stderr);
        return 1;
    }
    lua_State *state = luaL_newstate();
    if (state == NULL) {
        fputs("lua: not enough memory\n", stderr);
        return 1;
    }
    lua_gc(state, LUA_GCGEN, 0, 0);
    lua_pushcfunction(state, run);
    lua_pushinteger(state, count);
    lua_pushlightuserdata(state, words);
    int status = lua_pcall(state, 2, 0, 0);
    if (status != LUA_OK) {
        const char *message = lua_tostring(state, -1);
        fflush(stdout);
        fprintf(stderr, "lua: %s\n", message != NULL ? message : "(error message is no text)");
    }
    lua_close(state);
    return status == LUA_OK ? 0 : 1;
}
