// A live patch of vfs_symlink, as samples/livepatch has one of another function: what `audit` must find.
#include <linux/fs.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static int patched_symlink(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, const char *name)
{
	return -EPERM;
}

static struct klp_func functions[] = {
	{ .old_name = "vfs_symlink", .new_func = patched_symlink },
	{ }
};

static struct klp_object objects[] = {
	{ .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init begin(void) { return klp_enable_patch(&patch); }

static void __exit end(void) { }

module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
